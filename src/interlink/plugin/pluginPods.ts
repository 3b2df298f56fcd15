import { onAbort } from "../../kube/abort.ts";
import type { PodUpdate } from "../../kube/podUpdate.ts";
import type { PodStatus } from "../../kube/types.ts";

/** Of pods that are gone their last status is kept for who asks late. */
const rememberedEnds = 1000;

interface Known {
  status: PodStatus;
  gone: boolean;
}

/** What the Provider last said of each pod. */
export class PluginPods {
  readonly #pods = new Map<string, Known>();
  readonly #ends: string[] = [];
  readonly #waiting = new Map<string, Set<() => void>>();

  report({ pod, status, gone }: PodUpdate): void {
    const before = this.#pods.get(pod.uid);
    // A pod that nobody knew is gone without a word: what was said before its end counts.
    const last = status.phase || !before ? status : before.status;
    this.#pods.set(pod.uid, { status: last, gone });
    if (!gone) return;
    for (const resolve of this.#waiting.get(pod.uid) ?? []) resolve();
    this.#waiting.delete(pod.uid);
    this.#ends.push(pod.uid);
    if (this.#ends.length > rememberedEnds) this.#pods.delete(this.#ends.shift()!);
  }

  get(uid: string): Known | undefined {
    return this.#pods.get(uid);
  }

  /** True when nothing of the pod is left; false at the abort of `signal`. */
  gone(uid: string, signal: AbortSignal): Promise<boolean> {
    if (this.#pods.get(uid)?.gone) return Promise.resolve(true);
    return new Promise((resolve) => {
      const callbacks = this.#waiting.get(uid) ?? new Set();
      const end = () => {
        release();
        callbacks.delete(end);
        resolve(true);
      };
      const release = onAbort(signal, () => {
        callbacks.delete(end);
        resolve(false);
      });
      this.#waiting.set(uid, callbacks.add(end));
    });
  }
}
