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

/** A failure that lasts is said again. */
const sayAgainMs = 60_000;

/** Asks the far end about all pods in one call, again and again. What it does not answer changes nothing. */
export class Poller {
  readonly #options: PollerOptions;
  #asking = false;
  /** When the failures that go on began, and were last said. ms */
  #failing: { since: number; saidAt: number } | undefined;
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
    const { signal } = this.#options;
    if (this.#asking) return;
    this.#asking = true;
    try {
      const pods = [...this.#options.pods()].filter((pod) => pod.isFollowed);
      if (pods.length === 0) return;
      await this.#ask(pods);
      this.#answered();
    } catch (error) {
      if (!signal.aborted) this.#failed(error);
    } finally {
      this.#asking = false;
    }
  }

  #answered(): void {
    if (!this.#failing) return;
    const { clock, log } = this.#options;
    const seconds = Math.round((clock.now() - this.#failing.since) / 1000);
    this.#failing = undefined;
    log.warn({ seconds }, "pods' statuses are to be had again");
  }

  #failed(error: unknown): void {
    const { clock, log } = this.#options;
    const now = clock.now();
    this.#failing ??= { since: now, saidAt: Number.NEGATIVE_INFINITY };
    if (now - this.#failing.saidAt < sayAgainMs) return;
    this.#failing.saidAt = now;
    const seconds = Math.round((now - this.#failing.since) / 1000);
    log.warn({ err: error, seconds }, "pods' statuses are not to be had; what is known of them stays");
  }

  async #ask(pods: RemotePod[]): Promise<void> {
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
