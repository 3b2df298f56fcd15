import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, type TestContext } from "vitest";
import { type Clock, systemClock } from "../../../src/clock.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { NodeConfig } from "../../../src/config/nodeConfig.ts";
import type { DevClusterOptions, Faults } from "../../../src/devcluster/index.ts";
import { isAlreadyExists, isNotFound } from "../../../src/kube/apiError.ts";
import { createClient, type KubeClient } from "../../../src/kube/client.ts";
import { parseKubeconfig } from "../../../src/kube/kubeconfig.ts";
import { paths } from "../../../src/kube/paths.ts";
import type { ConfigMap, Event, Node, Pod, PodSpec } from "../../../src/kube/types.ts";
import { type Agent, startAgent } from "../../../src/node/agent.ts";
import { nodeObject, readHostFacts } from "../../../src/node/nodeObject.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { controlPlane, type TestControlPlane } from "./controlPlane.ts";

const namespace = "default";

export interface TestNodeOptions {
  /** @default the project's, see controlPlane() */
  cluster?: TestControlPlane;
  /** For an embedded control plane; a real one is as it is. */
  embedded?: DevClusterOptions;
  /** Of the agent. @default the system's */
  clock?: Clock;
}

/**
 * A node in this process, in a directory of its own, and the control plane that it belongs to: an embedded one, or the
 * real one of the e2e project, where it is system:node:NAME under NodeRestriction and nothing else.
 */
export class TestNode {
  readonly dir: string;
  readonly config: NodeConfig;
  readonly cluster: TestControlPlane;
  readonly client: KubeClient;
  readonly #nodeClients: KubeClient[] = [];
  readonly #since = Date.now();
  readonly #clock: Clock;
  #agent: Agent | undefined;

  private constructor(dir: string, config: NodeConfig, cluster: TestControlPlane, clock: Clock) {
    this.#clock = clock;
    this.dir = dir;
    this.config = config;
    this.cluster = cluster;
    this.client = this.#clientFor(cluster.adminKubeconfig());
  }

  static async start(defaults: Partial<NodeConfig> = {}, options: TestNodeOptions = {}): Promise<TestNode> {
    const dir = mkdtempSync(join(tmpdir(), "hostlet-node-"));
    const config = await loadConfig({
      env: {},
      home: dir,
      defaults: {
        nodeName: "node-1",
        nodeIP: "127.0.0.1",
        kubeletPort: 0,
        healthzPort: 0,
        disableTaint: true,
        ...defaults,
      },
    });
    const { clock = systemClock } = options;
    const node = new TestNode(dir, config, options.cluster ?? (await controlPlane(options.embedded)), clock);
    if (node.cluster.identity === "node") await node.#admit();
    await node.startAgent();
    await node.#untilSchedulable();
    return node;
  }

  /** What an administrator does beforehand for a node that may not label or taint itself. */
  async #admit(): Promise<void> {
    try {
      await this.client.create(paths.nodes(), nodeObject(this.config, readHostFacts()));
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }

  /** A real cluster taints a new Node, and takes that back when it hears that it is Ready. */
  async #untilSchedulable(): Promise<void> {
    await until(async () => {
      const { spec } = await this.client.get<Node>(paths.nodes(this.config.nodeName));
      return !spec?.taints?.some(({ key }) => key === "node.kubernetes.io/not-ready");
    }, "the Node keeps its taint not-ready");
  }

  #clientFor(kubeconfig: string): KubeClient {
    const access = parseKubeconfig(kubeconfig, { file: "of the test" });
    return createClient(access, { log: silentLogger, clock: systemClock, userAgent: "hostlet-test" });
  }

  /** Of the kubelet API. */
  get port(): number {
    return this.#agent?.port ?? 0;
  }

  async startAgent(): Promise<void> {
    const { nodeName } = this.config;
    const client = this.#clientFor(this.cluster.nodeKubeconfig(nodeName));
    this.#nodeClients.push(client);
    this.#agent = await startAgent({
      client,
      config: this.config,
      serving: this.cluster.serving([nodeName, "127.0.0.1"]),
      identity: this.cluster.identity,
      log: silentLogger,
      clock: this.#clock,
    });
  }

  /** The agent leaves; its pods run on. */
  async stopAgent(): Promise<void> {
    await this.#agent?.stop();
    this.#agent = undefined;
    for (const client of this.#nodeClients.splice(0)) client.close();
  }

  /**
   * Ends every pod at once, then everything else; a shared control plane is left as it was.
   * @throws when the API server refused the agent something that it should not have tried
   */
  async stop(): Promise<void> {
    if (!this.#agent) await this.startAgent();
    const { items } = await this.client.list<Pod>(paths.pods(namespace));
    for (const { metadata } of items) await this.deleteNow(metadata!.name!);
    for (const { metadata } of items) await this.gone(metadata!.name!);
    // An object deleted by force is gone before its processes are.
    const records = ["pods", "interlink"]
      .map((name) => join(this.config.stateDir, name))
      .filter((dir) => existsSync(dir));
    await until(() => records.every((dir) => readdirSync(dir).length === 0), "pods are left on the node");
    await this.stopAgent();
    if (this.cluster.identity === "node") await this.#leave();
    this.client.close();
    await this.cluster.stop();
    rmSync(this.dir, { recursive: true, force: true });
    expect(this.cluster.refusals(this.config.nodeName, this.#since)).toEqual([]);
  }

  async #leave(): Promise<void> {
    const left: [string, string][] = [
      [paths.nodes(), `metadata.name=${this.config.nodeName}`],
      [paths.events(namespace), ""],
      [paths.configMaps(namespace), "metadata.name!=kube-root-ca.crt"],
      [paths.secrets(namespace), "type=Opaque"],
    ];
    for (const [path, fieldSelector] of left) {
      await this.client.request("DELETE", path, { query: fieldSelector ? { fieldSelector } : {} });
    }
  }

  /** Skips a test that needs faults where the control plane has none, and says so. */
  faults(context: TestContext): Faults {
    const { faults, version } = this.cluster;
    if (faults) return faults;
    const why = `Kubernetes ${version} makes no faults on demand; the embedded control plane does`;
    console.log(`SKIPPED: ${context.task.name}: ${why}`);
    context.skip(why);
  }

  /** Where users find a pod's files. */
  path(pod: string, ...rest: string[]): string {
    return join(this.config.podsDir, namespace, pod, ...rest);
  }

  /** A pod of one container `main` that runs `script` by sh, under restartPolicy Never; `spec` overrides. */
  async run(name: string, script: string, spec: Partial<PodSpec> = {}, metadata: Pod["metadata"] = {}): Promise<Pod> {
    const [main, ...others] = spec.containers ?? [];
    return this.client.create<Pod>(paths.pods(namespace), {
      metadata: { name, ...metadata },
      spec: {
        restartPolicy: "Never",
        terminationGracePeriodSeconds: 5,
        ...spec,
        containers: [{ image: "none", command: ["sh", "-c", script], ...main, name: main?.name ?? "main" }, ...others],
      },
    });
  }

  configMap(name: string, data: Record<string, string>): Promise<ConfigMap> {
    return this.client.create<ConfigMap>(paths.configMaps(namespace), { metadata: { name }, data });
  }

  async deleteNow(name: string, gracePeriodSeconds = 0): Promise<void> {
    await this.client.delete(paths.pods(namespace, name), { gracePeriodSeconds }).catch((error) => {
      if (!isNotFound(error)) throw error;
    });
  }

  /** The pod, once `when` holds; as a watcher sees it, so that nothing in between is missed. */
  async pod(name: string, when: (pod: Pod) => boolean): Promise<Pod> {
    const abort = AbortSignal.timeout(30_000);
    let last: Pod | undefined;
    try {
      while (true) {
        const query = { fieldSelector: `metadata.name=${name}` };
        for await (const { type, object } of this.client.watch<Pod>(paths.pods(namespace), { query, signal: abort })) {
          if (type === "BOOKMARK") continue;
          if (type === "ERROR") break;
          last = object;
          if (when(last)) return last;
        }
      }
    } catch (error) {
      throw new Error(`pod ${name} never became what was waited for; at last: ${JSON.stringify(last?.status)}`, {
        cause: error,
      });
    }
  }

  phase(name: string, ...phases: string[]): Promise<Pod> {
    return this.pod(name, (pod) => phases.includes(pod.status?.phase ?? ""));
  }

  running(name: string): Promise<Pod> {
    return this.phase(name, "Running");
  }

  ended(name: string): Promise<Pod> {
    return this.phase(name, "Succeeded", "Failed");
  }

  /** Resolves when there is no such object any more. */
  async gone(name: string): Promise<void> {
    await until(async () => {
      try {
        await this.client.get(paths.pods(namespace, name));
        return false;
      } catch (error) {
        if (isNotFound(error)) return true;
        throw error;
      }
    }, `pod ${name} is still there`);
  }

  async logs(name: string, query: Record<string, string | number | boolean> = {}): Promise<string> {
    const signal = AbortSignal.timeout(20_000);
    let text = "";
    for await (const chunk of await this.client.stream(paths.pods(namespace, name, "log"), { query, signal })) {
      text += Buffer.from(chunk).toString();
    }
    return text;
  }

  async events(name: string): Promise<Event[]> {
    const { items } = await this.client.list<Event>(paths.events(namespace));
    return items.filter((event) => event.involvedObject.name === name);
  }

  /** The first Event of that reason about the pod. */
  async event(name: string, reason: string): Promise<Event> {
    let found: Event | undefined;
    await until(async () => {
      found = (await this.events(name)).find((event) => event.reason === reason);
      return found !== undefined;
    }, `no event ${reason} about pod ${name}`);
    return found!;
  }
}

/** Asks until it is so. For what has no event to wait for: files, processes, objects that vanish. */
export async function until(holds: () => boolean | Promise<boolean>, otherwise: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(otherwise);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function terminatedState(pod: Pod, container = "main") {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  return statuses.find((status) => status.name === container)?.state?.terminated;
}
