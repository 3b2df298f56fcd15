import { toTime } from "../../clock.ts";
import type { Node, Pod, PodCondition } from "../../kube/types.ts";
import { recordEvent } from "../events.ts";
import type { Stored } from "../objects.ts";
import { nodesResource, podsResource } from "../resources.ts";
import type { Api } from "../rest/api.ts";
import { bind } from "../rest/subresources.ts";
import { StatusError } from "../status.ts";
import type { Change } from "../store/entry.ts";
import { decide, type NodeState } from "./decide.ts";
import { Usage } from "./usage.ts";

export const schedulerName = "default-scheduler";

/** Pods decided on in one go; then the event loop gets its turn. */
const batch = 50;

/** Binds pods to nodes, in the order of their creation, and tries again whenever nodes or pods change. */
export class Scheduler {
  readonly #api: Api;
  readonly #usage = new Usage();
  /** Waiting to be looked at. */
  readonly #queue = new Set<string>();
  /** Looked at, and fit for no node as things are. */
  readonly #parked = new Set<string>();
  readonly #unsubscribe: (() => void)[] = [];
  #turn: NodeJS.Immediate | undefined;

  constructor(api: Api) {
    this.#api = api;
  }

  start(): void {
    const { store } = this.#api;
    for (const entry of store.list(podsResource)) this.#see(entry.key, entry.object as Pod);
    this.#unsubscribe.push(
      store.subscribe(podsResource, (change) => this.#onPod(change)),
      store.subscribe(nodesResource, (change) => this.#onNode(change)),
    );
  }

  /** Idempotent. */
  stop(): void {
    for (const end of this.#unsubscribe.splice(0)) end();
    clearImmediate(this.#turn);
    this.#turn = undefined;
  }

  #onPod(change: Change): void {
    const { key } = change.entry;
    if (change.type === "DELETED") {
      this.#usage.set(key, undefined);
      this.#queue.delete(key);
      this.#parked.delete(key);
      this.#retry();
    } else this.#see(key, change.entry.object as Pod);
  }

  #onNode(change: Change): void {
    const before = change.previous?.object as Node | undefined;
    const now = change.entry.object as Node;
    // A heartbeat changes nothing that a decision rests on.
    const same = before && fingerprint(before) === fingerprint(now);
    if (change.type !== "MODIFIED" || !same) this.#retry();
  }

  #see(key: string, pod: Pod): void {
    this.#usage.set(key, pod);
    const ended = pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
    if (ended) this.#retry();
    if (!waits(pod)) {
      this.#queue.delete(key);
      this.#parked.delete(key);
    } else if (!this.#parked.has(key)) {
      this.#queue.add(key);
      this.#wake();
    }
  }

  #retry(): void {
    if (this.#parked.size === 0) return;
    for (const key of this.#parked) this.#queue.add(key);
    this.#parked.clear();
    this.#wake();
  }

  #wake(): void {
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      const states = this.#states();
      for (const key of [...this.#queue].slice(0, batch)) {
        this.#queue.delete(key);
        this.#schedule(key, states());
      }
      if (this.#queue.size > 0) this.#wake();
    });
  }

  /** The nodes as they are now; which nodes there are can't change within a turn, what is used of them does. */
  #states(): () => NodeState[] {
    const nodes = this.#api.store.list(nodesResource).map((entry) => entry.object as Node);
    return () => nodes.map((node) => ({ node, ...this.#usage.of(node.metadata?.name ?? "") }));
  }

  #schedule(key: string, states: NodeState[]): void {
    const entry = this.#api.store.get(podsResource, key);
    if (!entry || !waits(entry.object as Pod)) return;
    const { name, namespace = "" } = entry.object.metadata;
    const decision = decide(entry.object as Pod, states);
    if ("message" in decision) {
      this.#park(key, entry.object, decision.message);
      return;
    }
    try {
      bind(this.#api, namespace, name, decision.node);
    } catch (error) {
      if (error instanceof StatusError) {
        this.#api.log.debug({ err: error }, "a pod was not bound");
        return;
      }
      throw error;
    }
    this.#event(entry.object, "Normal", "Scheduled", `Successfully assigned ${namespace}/${name} to ${decision.node}`);
  }

  #park(key: string, object: Stored, message: string): void {
    this.#parked.add(key);
    const pod = object as Pod;
    const old = pod.status?.conditions?.find((condition) => condition.type === "PodScheduled");
    if (old?.status === "False" && old.message === message) return;
    const now = toTime(this.#api.clock.now());
    const condition: PodCondition = {
      type: "PodScheduled",
      status: "False",
      reason: "Unschedulable",
      message,
      lastProbeTime: null as unknown as string,
      lastTransitionTime: old?.status === "False" ? (old.lastTransitionTime ?? now) : now,
    };
    const others = (pod.status?.conditions ?? []).filter((c) => c.type !== "PodScheduled");
    const status = { ...pod.status, conditions: [...others, condition] };
    this.#api.store.put(podsResource, key, { ...object, status });
    this.#event(object, "Warning", "FailedScheduling", message);
  }

  #event(object: Stored, type: "Normal" | "Warning", reason: string, message: string): void {
    recordEvent(this.#api, object, { type, reason, message, component: schedulerName });
  }
}

function waits(pod: Pod): boolean {
  return (
    !pod.spec?.nodeName &&
    pod.metadata?.deletionTimestamp === undefined &&
    (pod.spec?.schedulerName ?? schedulerName) === schedulerName &&
    (pod.spec?.schedulingGates ?? []).length === 0 &&
    pod.status?.phase === "Pending"
  );
}

/** What of a node a decision rests on. */
function fingerprint(node: Node): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === "Ready")?.status;
  return JSON.stringify([node.metadata?.labels, node.spec, node.status?.allocatable, ready]);
}
