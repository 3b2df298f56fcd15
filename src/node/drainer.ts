import type { Clock } from "../clock.ts";
import { onAbort } from "../kube/abort.ts";
import { type Pod, podRef } from "../kube/types.ts";
import type { Provider } from "../providers/contract.ts";

/** Why a node is emptied: reason and message of its Ready condition; the message is the pods', too. */
export interface DrainCause {
  reason: string;
  message: string;
}

/** The kubelet's reason for a pod that ended with its node (pkg/kubelet/nodeshutdown). */
const podReason = "Terminated";

function hasEnded(phase: string | undefined): boolean {
  return phase === "Succeeded" || phase === "Failed";
}

/** Ends the pods of a node that is about to leave, and those that still come. */
export class Drainer {
  readonly #provider: Provider;
  readonly #clock: Clock;
  #cause: DrainCause | undefined;
  #endsAt = 0;
  #emptied: (() => void) | undefined;

  constructor({ provider, clock }: { provider: Provider; clock: Clock }) {
    this.#provider = provider;
    this.#clock = clock;
  }

  /** A pod that was bound to a node which is being emptied ends before it has begun. */
  admit(pod: Pod): void {
    if (this.#cause) this.#evict(pod, this.#cause);
  }

  /** Resolves when every pod has ended, or at the abort of `deadline`. */
  async drain(cause: DrainCause, leftMs: number, deadline: AbortSignal): Promise<void> {
    this.#cause = cause;
    this.#endsAt = this.#clock.now() + leftMs;
    for (const pod of this.#provider.list()) this.#evict(pod, cause);
    await new Promise<void>((resolve) => {
      this.#emptied = resolve;
      onAbort(deadline, resolve);
      this.look();
    });
  }

  /** To be called when a pod's status may have changed. */
  look(): void {
    if (this.#emptied && this.#running().length === 0) this.#emptied();
  }

  #running(): Pod[] {
    return this.#provider.list().filter((pod) => !hasEnded(this.#provider.get(podRef(pod).uid)?.phase));
  }

  #evict(pod: Pod, { message }: DrainCause): void {
    const left = Math.max(0, this.#endsAt - this.#clock.now()) / 1000;
    const own = pod.spec?.terminationGracePeriodSeconds ?? 30;
    // A part is kept for the SIGKILL and for the news of it: a fifth, and no less than a second.
    const gracePeriodSeconds = Math.max(0, Math.min(own, left - Math.max(1, left / 5)));
    this.#provider.evict(podRef(pod).uid, { reason: podReason, message, gracePeriodSeconds });
  }
}
