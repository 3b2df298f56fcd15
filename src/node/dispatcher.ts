import { type Clock, toTime } from "../clock.ts";
import type { PodUpdate } from "../kube/podUpdate.ts";
import { type Pod, podRef } from "../kube/types.ts";
import type { Provider } from "../providers/contract.ts";
import type { Admission } from "./admission.ts";
import { isStatic, type Refusal } from "./admissionDecision.ts";

/** What a Provider has to be told about one pod of the API server. */
export type Verdict = "create" | "update" | "delete" | "nothing";

/**
 * Where a pod stands, by its UID:
 * - `here`: the Provider has it, and the API server too
 * - `away`: its object was removed from the API server; the Provider still ends it
 * - `gone`: nothing of it is left here; its object is being removed
 * - `refused`: the node did not take it, and it never will; the Provider knows nothing of it
 */
export type Standing = "here" | "away" | "gone" | "refused";

/**
 * What follows from a pod's object and from where the pod stands. A pod that ended elsewhere or in an earlier life of
 * this node (its phase is final, and nothing of it is here) is never started again.
 */
export function decideFor(pod: Pod, standing: Standing | undefined): Verdict {
  if (standing === "gone" || standing === "away") return "nothing";
  if (pod.metadata?.deletionTimestamp) return "delete";
  if (standing === "here") return "update";
  if (standing === "refused") return "nothing";
  return isFinal(pod.status?.phase) ? "nothing" : "create";
}

export interface DispatcherOptions {
  provider: Provider;
  /** Writes what the Provider reports. */
  writer: { set(update: PodUpdate): void; forget(uid: string): void; reconcile(pod: Pod): void };
  /** Whose pods this node takes; the others are left alone. @default all */
  accepts?(pod: Pod): boolean;
  /** What the node's pods take of it. @default it has room for all */
  admission?: Pick<Admission, "admit" | "take" | "release">;
  /** A pod was not taken. */
  refused?(pod: Pod, refusal: Refusal): void;
  clock: Clock;
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
    for (const pod of pods) {
      this.#pods.set(podRef(pod).uid, "here");
      this.#options.admission?.take(pod);
    }
  }

  /** A whole list: pods that are here and not in it were removed while nobody watched. */
  sync(pods: Pod[]): void {
    const present = new Set(pods.map((pod) => podRef(pod).uid));
    for (const pod of this.#options.provider.list()) {
      // A static pod is its file's, not the API server's.
      if (!present.has(podRef(pod).uid) && !isStatic(pod)) this.removed(pod);
    }
    for (const [uid, standing] of this.#pods) {
      if ((standing === "gone" || standing === "refused") && !present.has(uid)) this.#pods.delete(uid);
    }
    // Who came first is let in first, as on the kubelet.
    for (const pod of pods.toSorted(byCreation)) this.changed(pod);
  }

  /** A pod was added or modified on the API server. */
  changed(pod: Pod): void {
    const { provider, writer, accepts, created } = this.#options;
    if (accepts && !accepts(pod)) return;
    const { uid } = podRef(pod);
    const verdict = decideFor(pod, this.#pods.get(uid));
    if (verdict === "nothing") return;
    if (verdict === "create" && !this.#letIn(pod)) return;
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
    if (standing === "gone" || standing === "refused") this.#pods.delete(uid);
    if (standing !== "here") return;
    this.#pods.set(uid, "away");
    this.#options.provider.delete(pod, pod.spec?.terminationGracePeriodSeconds ?? 30);
  }

  /** News from the Provider. */
  report(update: PodUpdate): void {
    const { uid } = update.pod;
    if (update.gone || isFinal(update.status.phase)) this.#options.admission?.release(uid);
    if (this.#pods.get(uid) === "away") {
      if (update.gone) this.#pods.delete(uid);
      return;
    }
    if (update.gone) this.#pods.set(uid, "gone");
    this.#options.writer.set(update);
  }

  /** @returns whether the pod can be created; one that can't is Failed, and never asked about again */
  #letIn(pod: Pod): boolean {
    const { admission, writer, refused, clock } = this.#options;
    // It runs, or did: a node that lost its state must not refuse what it took.
    const before = (pod.status?.containerStatuses ?? []).some(({ containerID }) => containerID);
    if (before) admission?.take(pod);
    const refusal = before ? undefined : admission?.admit(pod);
    if (!refusal) return true;
    const ref = podRef(pod);
    this.#pods.set(ref.uid, "refused");
    const { reason, message } = refusal;
    const status = { phase: "Failed", reason, message: `Pod was rejected: ${message}`, startTime: toTime(clock.now()) };
    writer.set({ pod: ref, status, gone: false });
    refused?.(pod, refusal);
    return false;
  }
}

function isFinal(phase: string | undefined): boolean {
  return phase === "Succeeded" || phase === "Failed";
}

/** Among pods of one second, as an API server counts them, the order of the list stays. */
function byCreation(a: Pod, b: Pod): number {
  const [first, second] = [a, b].map(({ metadata }) => Date.parse(metadata?.creationTimestamp ?? "") || 0);
  return first! - second!;
}
