import type { Clock } from "../clock.ts";
import type { KubeClient } from "../kube/client.ts";
import { paths } from "../kube/paths.ts";
import { reflect } from "../kube/reflector.ts";
import type { Pod } from "../kube/types.ts";
import type { Logger } from "../telemetry/log.ts";

export interface WatchedPod {
  pod: Pod;
  /** The API server has it no more; `pod` is as it was last. */
  gone: boolean;
}

export interface PodWatchOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  pods: Pod[];
  /** Told of each new state of one of the pods. */
  onChange(watched: WatchedPod): void;
}

/** Keeps the latest state of some pods, by UID. */
export class PodWatch {
  readonly #pods: Map<string, WatchedPod>;
  readonly #onChange: (watched: WatchedPod) => void;
  readonly #waiting = new Set<() => void>();
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;

  constructor({ client, clock, log, pods, onChange }: PodWatchOptions) {
    this.#pods = new Map(pods.map((pod) => [pod.metadata?.uid ?? "", { pod, gone: false }]));
    this.#onChange = onChange;
    this.#done = reflect<Pod>({
      client,
      path: paths.pods(),
      onSync: (items) => this.#sync(items),
      onEvent: (type, pod) => this.#set(pod, type === "DELETED"),
      log,
      clock,
      signal: this.#abort.signal,
    });
  }

  all(): WatchedPod[] {
    return [...this.#pods.values()];
  }

  /** Resolves once `condition` holds for every pod; rejects with the signal's reason. */
  until(condition: (watched: WatchedPod) => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        this.#waiting.delete(check);
        signal.removeEventListener("abort", onAbort);
        settle();
      };
      const onAbort = () => finish(() => reject(signal.reason));
      const check = () => {
        if (this.all().every(condition)) finish(resolve);
      };
      this.#waiting.add(check);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      else check();
    });
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  #sync(items: Pod[]): void {
    const present = new Set(items.map((pod) => pod.metadata?.uid));
    for (const pod of items) this.#set(pod, false);
    for (const [uid, { pod, gone }] of this.#pods) if (!gone && !present.has(uid)) this.#set(pod, true);
  }

  #set(pod: Pod, gone: boolean): void {
    const uid = pod.metadata?.uid ?? "";
    if (!this.#pods.has(uid)) return;
    const watched = { pod, gone };
    this.#pods.set(uid, watched);
    this.#onChange(watched);
    for (const check of [...this.#waiting]) check();
  }
}
