import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeCommandFlags } from "../../../src/cli/node.ts";
import { node } from "../../../src/cli/node.ts";
import { systemClock } from "../../../src/clock.ts";
import { type DevCluster, startDevCluster } from "../../../src/devcluster/index.ts";
import { createClient, type KubeClient } from "../../../src/kube/client.ts";
import { parseKubeconfig } from "../../../src/kube/kubeconfig.ts";
import { paths } from "../../../src/kube/paths.ts";
import type { Node, Pod } from "../../../src/kube/types.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { type MemoryIo, memoryIo } from "./memoryIo.ts";

/** `hostlet node` under way. */
export interface RunningNode {
  memory: MemoryIo;
  code: Promise<number>;
  /** Resolves when it is Ready; rejects when it ends without. */
  ready(): Promise<void>;
}

/** An embedded control plane, and agents of it as the command starts them; everything in one temporary directory. */
export class NodeCluster {
  readonly dir = mkdtempSync(join(tmpdir(), "hostlet-node-"));
  cluster!: DevCluster;
  client!: KubeClient;
  readonly #running: RunningNode[] = [];

  static async start(): Promise<NodeCluster> {
    const made = new NodeCluster();
    await made.startCluster();
    return made;
  }

  /** Starts the control plane, or starts it again. */
  async startCluster(port = 0): Promise<void> {
    this.cluster = await startDevCluster({ dir: join(this.dir, "cluster"), port });
    const access = parseKubeconfig(this.cluster.kubeconfig("admin"), { file: "of the test" });
    this.client = createClient(access, { log: silentLogger, clock: systemClock, userAgent: "test" });
  }

  async stopCluster(): Promise<number> {
    const { port } = new URL(this.cluster.url);
    this.client.close();
    await this.cluster.stop();
    return Number(port);
  }

  /** A kubeconfig with an administrator's token, as text changed by `change`. */
  kubeconfig(name = "kubeconfig", change = (text: string) => text): string {
    const file = join(this.dir, name);
    writeFileSync(file, change(this.cluster.kubeconfig("admin")), { mode: 0o600 });
    return file;
  }

  /** A node `n1` on this cluster; `flags` override. */
  node(flags: NodeCommandFlags = {}): RunningNode {
    const memory = memoryIo({ HOME: this.dir });
    const defaults = {
      nodeName: "n1",
      nodeIP: "127.0.0.1",
      kubeletPort: "0",
      healthzPort: "0",
      selfSigned: true,
      logLevel: "silent",
    };
    const own = { kubeconfig: join(this.dir, "kubeconfig"), stateDir: join(this.dir, "state"), disableTaint: true };
    const code = node({ ...defaults, ...own, ...flags }, memory.io);
    code.catch(() => {});
    const running = {
      memory,
      code,
      ready: () =>
        Promise.race([
          memory.shows("is Ready at"),
          code.then((ended) => Promise.reject(new Error(`ended with ${ended}: ${memory.stderr()}`))),
        ]),
    };
    this.#running.push(running);
    return running;
  }

  /** Ends what still runs, and its pods. */
  async stop(): Promise<void> {
    for (const { memory, code } of this.#running) {
      memory.send("SIGTERM");
      await code.catch(() => {});
    }
    const { items } = await this.client.list<Pod>(paths.pods());
    if (items.some(({ status }) => status?.phase === "Running")) {
      const last = this.node({ drainOnExit: true });
      await last.ready();
      for (const { metadata } of items) {
        await this.client.delete(paths.pods(metadata!.namespace!, metadata!.name!), { gracePeriodSeconds: 0 });
      }
      last.memory.send("SIGTERM");
      await last.code;
    }
    await this.stopCluster();
    rmSync(this.dir, { recursive: true, force: true });
  }

  getNode(name = "n1"): Promise<Node> {
    return this.client.get<Node>(paths.nodes(name));
  }

  async sleeper(name: string, options: { namespace?: string; script?: string; spec?: Partial<Pod["spec"]> } = {}) {
    const { namespace = "default", script = "trap 'exit 0' TERM; while :; do sleep 0.05; done", spec } = options;
    const containers = [{ name: "main", image: "none", command: ["bash", "-c", script] }];
    return this.client.create<Pod>(paths.pods(namespace), {
      metadata: { name },
      spec: { restartPolicy: "Never", containers, ...spec },
    });
  }

  /** The object of a watch, once it is so. @throws with its last state after half a minute */
  async #until<T extends Node | Pod>(path: string, name: string, when: (object: T) => boolean): Promise<T> {
    const signal = AbortSignal.timeout(30_000);
    let last: T | undefined;
    try {
      for (;;) {
        const query = { fieldSelector: `metadata.name=${name}` };
        for await (const { type, object } of this.client.watch<T>(path, { query, signal })) {
          if (type === "BOOKMARK" || type === "ERROR") continue;
          last = object as T;
          if (when(last)) return last;
        }
      }
    } catch (cause) {
      throw new Error(`${name} never became what was waited for; at last: ${JSON.stringify(last)}`, { cause });
    }
  }

  untilNode(when: (node: Node) => boolean, name = "n1"): Promise<Node> {
    return this.#until<Node>(paths.nodes(), name, when);
  }

  untilPod(name: string, when: (pod: Pod) => boolean, namespace = "default"): Promise<Pod> {
    return this.#until<Pod>(paths.pods(namespace), name, when);
  }

  running(name: string, namespace?: string): Promise<Pod> {
    return this.untilPod(name, ({ status }) => status?.phase === "Running", namespace);
  }
}

export const readyCondition = ({ status }: Node) => status?.conditions?.find(({ type }) => type === "Ready");
