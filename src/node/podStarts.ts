import type { Clock } from "../clock.ts";
import type { PodUpdate } from "../kube/podUpdate.ts";
import type { AgentMetrics } from "../telemetry/agentMetrics.ts";

/** Times pods from when this agent first saw them until their containers ran. Those of an earlier agent are not timed. */
export class PodStarts {
  readonly #clock: Clock;
  readonly #metrics: AgentMetrics;
  readonly #seen = new Map<string, number>();

  constructor(clock: Clock, metrics: AgentMetrics) {
    this.#clock = clock;
    this.#metrics = metrics;
  }

  seen(uid: string): void {
    if (!this.#seen.has(uid)) this.#seen.set(uid, this.#clock.now());
  }

  reported({ pod: { uid }, status, gone }: PodUpdate): void {
    const at = this.#seen.get(uid);
    if (at === undefined) return;
    const { phase } = status;
    if (phase === "Running" || phase === "Succeeded") this.#metrics.podStarted((this.#clock.now() - at) / 1000);
    if (gone || (phase !== undefined && phase !== "Pending")) this.#seen.delete(uid);
  }
}
