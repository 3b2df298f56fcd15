import type { PodUpdate } from "../kube/podUpdate.ts";
import { type Pod, podRef } from "../kube/types.ts";
import type { Provider } from "../providers/contract.ts";

/** What a Provider has to be told about one pod of the API server. */
export type Verdict = "create" | "update" | "delete" | "nothing";

/**
 * Where a pod stands, by its UID:
 * - `here`: the Provider has it, and the API server too
 * - `away`: its object was removed from the API server; the Provider still ends it
 * - `gone`: nothing of it is left here; its object is being removed
 */
export type Standing = "here" | "away" | "gone";

/**
 * What follows from a pod's object and from where the pod stands. A pod that ended elsewhere or in an earlier life of
 * this node (its phase is final, and nothing of it is here) is never started again.
 */
export function decideFor(pod: Pod, standing: Standing | undefined): Verdict {
  if (standing === "gone" || standing === "away") return "nothing";
  if (pod.metadata?.deletionTimestamp) return "delete";
  if (standing === "here") return "update";
  const phase = pod.status?.phase;
  return phase === "Succeeded" || phase === "Failed" ? "nothing" : "create";
}

export interface DispatcherOptions {
  provider: Provider;
  /** Writes what the Provider reports. */
  writer: { set(update: PodUpdate): void; forget(uid: string): void; reconcile(pod: Pod): void };
  /** Whose pods this node takes; the others are left alone. @default all */
  accepts?(pod: Pod): boolean;
  /** A pod was just handed to the Provider for the first time. */
  created?(pod: Pod): void;
}

/** Between the API server's pods and the Provider's: tells each side the news of the other, by UID. */
export class PodDispatcher {
  readonly #options: DispatcherOptions;
  readonly #pods = new Map<string, Standing>();

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** Pods that the Provider found again when the agent started. */
  recovered(pods: Pod[]): void {
    for (const pod of pods) this.#pods.set(podRef(pod).uid, "here");
  }

  /** A whole list: pods that are here and not in it were removed while nobody watched. */
  sync(pods: Pod[]): void {
    const present = new Set(pods.map((pod) => podRef(pod).uid));
    for (const pod of this.#options.provider.list()) {
      if (!present.has(podRef(pod).uid)) this.removed(pod);
    }
    for (const [uid, standing] of this.#pods) {
      if (standing === "gone" && !present.has(uid)) this.#pods.delete(uid);
    }
    for (const pod of pods) this.changed(pod);
  }

  /** A pod was added or modified on the API server. */
  changed(pod: Pod): void {
    const { provider, writer, accepts, created } = this.#options;
    if (accepts && !accepts(pod)) return;
    const { uid } = podRef(pod);
    const verdict = decideFor(pod, this.#pods.get(uid));
    if (verdict === "nothing") return;
    this.#pods.set(uid, "here");
    if (verdict === "create") {
      provider.create(pod);
      created?.(pod);
    } else if (verdict === "update") {
      provider.update(pod);
      writer.reconcile(pod);
    } else provider.delete(pod, pod.metadata?.deletionGracePeriodSeconds ?? 0);
  }

  /** The object is away: what still runs of the pod is ended with its own grace period. */
  removed(pod: Pod): void {
    const { uid } = podRef(pod);
    this.#options.writer.forget(uid);
    const standing = this.#pods.get(uid);
    if (standing === "gone") this.#pods.delete(uid);
    if (standing !== "here") return;
    this.#pods.set(uid, "away");
    this.#options.provider.delete(pod, pod.spec?.terminationGracePeriodSeconds ?? 30);
  }

  /** News from the Provider. */
  report(update: PodUpdate): void {
    const { uid } = update.pod;
    if (this.#pods.get(uid) === "away") {
      if (update.gone) this.#pods.delete(uid);
      return;
    }
    if (update.gone) this.#pods.set(uid, "gone");
    this.#options.writer.set(update);
  }
}
