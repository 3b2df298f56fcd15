import { type Clock, toTime } from "../clock.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import { isAlreadyExists, isNotFound } from "../kube/apiError.ts";
import type { KubeClient } from "../kube/client.ts";
import { paths } from "../kube/paths.ts";
import { backoffMs, retry } from "../kube/retry.ts";
import type { Lease, Node, Taint } from "../kube/types.ts";
import type { NodeNews } from "../providers/contract.ts";
import type { Logger } from "../telemetry/log.ts";
import { agentAnnotation, checkLease } from "./leaseGuard.ts";
import { type AgentIdentityKind, type LabelPlan, planLabels } from "./nodeLabels.ts";
import { type HostFacts, type NodeReadiness, nodeObject, nodeReady, nodeStatus } from "./nodeObject.ts";
import { serverAway } from "./serverAway.ts";

/** The kubelet's figures: the Lease lasts 40 s and is renewed every 10; an unchanged status is written every 5 minutes. */
export const leaseDurationSeconds = 40;
const leaseRenewMs = 10_000;
const statusEveryMs = 5 * 60_000;
const leaseNamespace = "kube-node-lease";

export interface RegistrationOptions {
  client: KubeClient;
  config: NodeConfig;
  identity: AgentIdentityKind;
  /** Of this agent, over its restarts. */
  agentID: string;
  facts: HostFacts;
  ip: string;
  /** Where the cluster finds the kubelet API now. */
  port: () => number;
  runtimeVersion: string;
  /** What the Provider has for pods now, where that is not what this host has. */
  provided?: () => Record<string, string>;
  /** What the Provider last said of the node's state; `newsChanged` when it is another. @default nothing */
  news?: () => NodeNews;
  /** Labels that change with time, such as the walltime that is left. @default none */
  changingLabels?: (now: number) => Record<string, string>;
  /** How often those are rewritten. @default 10_000 */
  labelsEveryMs?: number;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

/** Reasons of Ready=False of a Node that its own agent cordoned; the next agent of that name opens it again. */
export const walltimeReason = "WalltimeExceeded";
export const shutdownReason = "NodeShutdown";
const ownReasons = [walltimeReason, shutdownReason];

/** Kubernetes' own, which a node controller gives and takes with `unschedulable`; where there is none, this agent does. */
const cordonTaint: Taint = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };

function isCordonedByAgent({ spec, status }: Node): boolean {
  const reason = status?.conditions?.find((c) => c.type === "Ready")?.reason ?? "";
  return spec?.unschedulable === true && ownReasons.includes(reason);
}

/** Keeps the Node and its Lease in the cluster until the signal aborts. */
export class Registration {
  readonly #options: RegistrationOptions;
  #node: Node | undefined;
  #ready: NodeReadiness = nodeReady;
  #correcting: Promise<void> | undefined;
  #renewing: Promise<void> | undefined;
  #telling: Promise<void> | undefined;
  #toldTaints: string | undefined;
  #released = false;
  /** The Node is being removed by its own agent, which makes it no more. */
  #removed = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the Node exists and says Ready; waits for a cluster that is away.
   * @throws {HostletError} NodeNameTaken
   */
  async start(): Promise<void> {
    const { clock, signal, log, changingLabels, labelsEveryMs = 10_000 } = this.#options;
    const onRetry = (error: unknown, delay: number) =>
      log.warn({ err: error, delay }, "the node is not registered yet");
    await retry(() => this.#checkLease(), { clock, signal, onRetry });
    await retry(() => this.#register(), { clock, signal, onRetry });
    await retry(() => this.#writeStatus(), { clock, signal, onRetry });
    const renew = async () => {
      if (this.#released) return;
      this.#renewing = this.#renewLease();
      await this.#renewing;
    };
    this.#repeat(renew, leaseRenewMs, 0);
    this.#repeat(() => this.#writeStatus(), statusEveryMs, statusEveryMs);
    if (changingLabels) this.#repeat(() => this.#patchLabels(), labelsEveryMs, labelsEveryMs);
  }

  /**
   * The Node as it is now, undefined where it was removed. What the cluster says of it wrongly is put right at once: a node
   * controller says NotReady of a node that it did not hear of, and takes it back at the node's word only.
   */
  observe(node: Node | undefined): void {
    const ready = node?.status?.conditions?.find((c) => c.type === "Ready")?.status;
    if (ready === (this.#readiness.ready ? "True" : "False")) return;
    this.renew();
  }

  /** What the Node's status says is written anew. */
  renew(): void {
    const { clock, signal, log } = this.#options;
    this.#correcting ??= retry(() => this.#writeStatus(), { clock, signal, ...serverAway })
      .catch((error) => {
        if (!signal.aborted) log.warn({ err: error }, "the node's status could not be put right");
      })
      .finally(() => {
        this.#correcting = undefined;
      });
  }

  /** The Provider has something new to say of the node. */
  newsChanged(): void {
    const { clock, signal, log } = this.#options;
    const write = async () => {
      await retry(() => this.#writeStatus(), { clock, signal, ...serverAway });
      await this.#writeTaints();
    };
    this.#telling = (this.#telling ?? Promise.resolve()).then(write).catch((error) => {
      if (!signal.aborted) log.warn({ err: error }, "what the provider says of the node could not be written");
    });
  }

  /** Nothing new is scheduled here any more, and everybody sees why. What can't be written is left to the Lease's end. */
  async cordon(reason: string, message: string): Promise<void> {
    const { client, config, clock, signal } = this.#options;
    this.#ready = { ready: false, reason, message };
    const path = paths.nodes(config.nodeName);
    const spec = { unschedulable: true, ...this.#taints(this.#node, [cordonTaint]) };
    const cordon = () => client.patch(path, { spec }, "strategic", { signal });
    await retry(cordon, { clock, signal, tries: 5 });
    await retry(() => this.#writeStatus(), { clock, signal, tries: 5 });
  }

  /** Removes the Node, where the identity may. */
  async remove(): Promise<void> {
    const { client, config, signal } = this.#options;
    this.#removed = true;
    await client.delete(paths.nodes(config.nodeName), undefined, { signal });
  }

  /** Says that this agent has let go of the name, so that another one need not wait for the Lease to run out. */
  async release(): Promise<void> {
    const { client, config, signal } = this.#options;
    // A renewal that is under way would take the name again.
    this.#released = true;
    await this.#renewing?.catch(() => {});
    const metadata = { annotations: { [agentAnnotation]: "" } };
    await client.patch(paths.leases(leaseNamespace, config.nodeName), { metadata }, "merge", {
      signal,
      timeoutMs: 2000,
    });
  }

  async #checkLease(): Promise<void> {
    const { client, config, clock, agentID, signal } = this.#options;
    try {
      const lease = await client.get<Lease>(paths.leases(leaseNamespace, config.nodeName), { signal });
      checkLease(lease, agentID, clock.now());
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** The agent's own reasons come first: a node that is being emptied is not Ready, whatever its Provider says. */
  get #readiness(): NodeReadiness {
    return this.#ready.ready ? (this.#options.news?.().ready ?? this.#ready) : this.#ready;
  }

  /** The Provider's taints in the place of those that it had before; the configuration's and Kubernetes' own stay. */
  async #writeTaints(): Promise<void> {
    const { client, config, facts, identity, log, signal } = this.#options;
    const wanted = this.#options.news?.().taints;
    if (!wanted || JSON.stringify(wanted) === this.#toldTaints) return;
    this.#toldTaints = JSON.stringify(wanted);
    if (identity === "node") {
      const words = wanted.map(({ key, value, effect }) => `${key}${value ? `=${value}` : ""}:${effect}`).join(" ");
      if (words)
        log.warn(
          `a node may not taint itself; what runs its pods asks for: kubectl taint node ${config.nodeName} ${words}`,
        );
      return;
    }
    const node = await client.get<Node>(paths.nodes(config.nodeName), { signal });
    const configured = new Set((nodeObject(config, facts).spec?.taints ?? []).map(({ key }) => key));
    const kept = (node.spec?.taints ?? []).filter(
      ({ key }) => configured.has(key) || key.startsWith("node.kubernetes.io/"),
    );
    const taints = [...kept, ...wanted.filter(({ key }) => !configured.has(key))];
    await client.patch<Node>(paths.nodes(config.nodeName), { spec: { taints } }, "merge", { signal });
  }

  #labels(): LabelPlan {
    const { config, facts, identity, changingLabels, clock } = this.#options;
    const labels = { ...nodeObject(config, facts).metadata?.labels, ...changingLabels?.(clock.now()) };
    return planLabels(labels, identity);
  }

  /** The Node's taints with these in the place of the one for cordoned nodes; nothing where the identity may not change them. */
  #taints(node: Node | undefined, own: Taint[]): { taints?: Taint[] } {
    if (this.#options.identity === "node") return {};
    const others = (node?.spec?.taints ?? []).filter((taint) => taint.key !== cordonTaint.key);
    return { taints: [...others, ...own] };
  }

  async #register(): Promise<void> {
    const { client, config, facts, log, signal } = this.#options;
    const { own, reserved } = this.#labels();
    const wanted = nodeObject(config, facts);
    try {
      const metadata = { ...wanted.metadata, labels: own };
      this.#node = await client.create<Node>(paths.nodes(), { ...wanted, metadata }, { signal });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      // Labels of ours are brought up to date; taints of a Node that exists are its administrator's. A Node that an
      // earlier agent emptied is open again.
      const left = (await client.get<Node>(paths.nodes(config.nodeName), { signal })) as Node;
      const cordoned = isCordonedByAgent(left);
      const spec = { unschedulable: null, ...this.#taints(left, []) };
      const patch = { metadata: { labels: own }, ...(cordoned && { spec }) };
      this.#node = await client.patch<Node>(paths.nodes(config.nodeName), patch, "strategic", { signal });
    }
    const missing = Object.entries(reserved).filter(([name, value]) => this.#node?.metadata?.labels?.[name] !== value);
    if (missing.length > 0) {
      const labels = missing.map(([name, value]) => `${name}=${value}`).join(" ");
      log.warn(
        `a node may not set these labels on itself; if pods select them: kubectl label node ${config.nodeName} ${labels}`,
      );
    }
  }

  async #patchLabels(): Promise<void> {
    const { client, config, signal } = this.#options;
    const patch = { metadata: { labels: this.#labels().own } };
    this.#node = await client.patch<Node>(paths.nodes(config.nodeName), patch, "strategic", { signal });
  }

  async #writeStatus(): Promise<void> {
    if (this.#removed) return;
    const { client, config, facts, ip, port, runtimeVersion, clock, signal } = this.#options;
    const previous = this.#node?.status?.conditions ?? [];
    const { resources, condition } = this.#options.news?.() ?? {};
    const provided = { ...this.#options.provided?.(), ...resources };
    const input = {
      ip,
      port: port(),
      runtimeVersion,
      now: clock.now(),
      previous,
      readiness: this.#readiness,
      provided,
      condition,
    };
    const status = nodeStatus(config, facts, input);
    const path = paths.nodes(config.nodeName, "status");
    try {
      this.#node = await client.patch<Node>(path, { status }, "strategic", { signal });
    } catch (error) {
      // Somebody removed the Node: it is made anew, as a kubelet that restarts would.
      if (isNotFound(error) && !this.#removed) await this.#register();
      throw error;
    }
  }

  async #renewLease(): Promise<void> {
    const { client, config, clock, agentID, signal } = this.#options;
    const microTime = `${toTime(clock.now()).slice(0, -1)}.${String(clock.now() % 1000).padStart(3, "0")}000Z`;
    const spec = { holderIdentity: config.nodeName, leaseDurationSeconds, renewTime: microTime };
    const annotations = { [agentAnnotation]: agentID };
    const path = paths.leases(leaseNamespace, config.nodeName);
    try {
      await client.patch<Lease>(path, { metadata: { annotations }, spec }, "merge", { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const { uid, name } = this.#node?.metadata ?? {};
      const ownerReferences = uid && name ? [{ apiVersion: "v1", kind: "Node", name, uid }] : [];
      const metadata = { name: config.nodeName, namespace: leaseNamespace, annotations, ownerReferences };
      await client.create<Lease>(paths.leases(leaseNamespace), { metadata, spec }, { signal });
    }
  }

  /** Does the work every `everyMs`, sooner after a failure. */
  #repeat(work: () => Promise<void>, everyMs: number, firstMs: number): void {
    const { clock, log, signal } = this.#options;
    let failures = 0;
    let cancel = () => {};
    const next = (ms: number) => {
      cancel = clock.after(ms, () => {
        work().then(
          () => {
            failures = 0;
            if (!signal.aborted) next(everyMs);
          },
          (error) => {
            if (signal.aborted) return;
            const delay = Math.min(backoffMs(++failures, error, serverAway), everyMs);
            log.warn({ err: error, delay }, "the node could not be kept up to date; trying again");
            next(delay);
          },
        );
      });
    };
    signal.addEventListener("abort", () => cancel(), { once: true });
    next(firstMs);
  }
}
