import type { Clock } from "../../clock.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { InterlinkClient } from "./client.ts";
import type { RemotePod } from "./remotePod.ts";

export interface PollerOptions {
  client: InterlinkClient;
  clock: Clock;
  log: Logger;
  intervalMs: number;
  pods(): Iterable<RemotePod>;
  signal: AbortSignal;
}

/** Plugins made with interLink's Python SDK answer about the first pod that they are asked for: the others are asked for singly, so many at a time. */
const singles = 4;

/** Asks the far end about all pods in one call, again and again. What it does not answer changes nothing. */
export class Poller {
  readonly #options: PollerOptions;
  #asking = false;
  #failing = false;
  #cancel = () => {};

  constructor(options: PollerOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.#cancel(), { once: true });
    this.#next();
  }

  #next(): void {
    const { clock, intervalMs, signal } = this.#options;
    if (signal.aborted) return;
    this.#cancel = clock.after(intervalMs, () => {
      void this.#round().finally(() => this.#next());
    });
  }

  async #round(): Promise<void> {
    const { log, signal } = this.#options;
    if (this.#asking) return;
    this.#asking = true;
    try {
      await this.#ask([...this.#options.pods()].filter((pod) => pod.isFollowed));
      this.#failing = false;
    } catch (error) {
      if (signal.aborted) return;
      if (!this.#failing) log.warn({ err: error }, "pods' statuses are not to be had; what is known of them stays");
      this.#failing = true;
    } finally {
      this.#asking = false;
    }
  }

  async #ask(pods: RemotePod[]): Promise<void> {
    if (pods.length === 0) return;
    const left = await this.#askFor(pods);
    if (pods.length === 1) {
      for (const pod of left) pod.observe(undefined);
      return;
    }
    while (left.length > 0) {
      const some = left.splice(0, singles);
      await Promise.all(
        some.map(async (pod) => {
          for (const missing of await this.#askFor([pod])) missing.observe(undefined);
        }),
      );
    }
  }

  /** @returns those of which nothing was said */
  async #askFor(pods: RemotePod[]): Promise<RemotePod[]> {
    const { client, signal } = this.#options;
    const replies = await client.status(
      pods.map((pod) => pod.question),
      signal,
    );
    const byUid = new Map(replies.map((reply) => [reply.UID, reply]));
    const left: RemotePod[] = [];
    for (const pod of pods) {
      const reply = byUid.get(pod.ref.uid);
      if (reply) pod.observe(reply);
      else left.push(pod);
    }
    return left;
  }
}
