import { systemClock } from "../src/clock.ts";
import type { KubeClient } from "../src/kube/client.ts";
import { paths } from "../src/kube/paths.ts";
import { reflect } from "../src/kube/reflector.ts";
import type { Pod } from "../src/kube/types.ts";
import { silentLogger } from "../src/telemetry/log.ts";
import { nowMs } from "./statistics.ts";

/** When a watcher of the API server saw it first; ms since the epoch. */
export interface Seen {
  bound?: number;
  running?: number;
  terminal?: number;
  gone?: number;
  phase?: string;
  reason?: string;
}
export type Moment = "bound" | "running" | "terminal" | "gone";

interface Waiting {
  moment: Moment;
  missing: Set<string>;
  resolve(): void;
  reject(error: unknown): void;
}

/** Follows all pods as a client of the API server does, apart from the agent and from who creates the pods. */
export class PodWatcher {
  readonly seen = new Map<string, Seen>();
  /** Called at each first sight of a moment. */
  onMoment: (name: string, moment: Moment) => void = () => {};
  readonly #client: KubeClient;
  readonly #waiting = new Set<Waiting>();
  readonly #end = new AbortController();
  #ended: Promise<void> = Promise.resolve();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  start(): void {
    this.#ended = reflect<Pod>({
      client: this.#client,
      path: paths.pods(),
      onSync: (pods) => {
        for (const pod of pods) this.#take(pod, false);
        const there = new Set(pods.map(({ metadata }) => metadata?.name));
        for (const [name, seen] of this.seen) if (seen.bound && !there.has(name)) this.#mark(name, seen, "gone");
      },
      onEvent: (type, pod) => this.#take(pod, type === "DELETED"),
      // It is what measures: an API server that ends a watch under load, or comes back, must not be seen late.
      backoff: { initialMs: 10, maxMs: 50 },
      log: silentLogger,
      clock: systemClock,
      signal: this.#end.signal,
    });
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#ended;
  }

  of(name: string): Seen {
    let entry = this.seen.get(name);
    if (!entry) {
      entry = {};
      this.seen.set(name, entry);
    }
    return entry;
  }

  /** @throws {Error} some of them were not seen so in time: how many, and one of them as it was seen last */
  async until(moment: Moment, names: string[], timeoutMs: number): Promise<void> {
    const missing = new Set(names.filter((name) => this.of(name)[moment] === undefined));
    if (missing.size === 0) return;
    let waiting: Waiting | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        waiting = { moment, missing, resolve, reject };
        this.#waiting.add(waiting);
        timer = setTimeout(() => {
          const [first = ""] = missing;
          const last = JSON.stringify(this.of(first));
          reject(
            new Error(`${missing.size} of ${names.length} pods not ${moment} after ${timeoutMs} ms; ${first}: ${last}`),
          );
        }, timeoutMs);
      });
    } finally {
      clearTimeout(timer);
      if (waiting) this.#waiting.delete(waiting);
    }
  }

  #take(pod: Pod, deleted: boolean): void {
    const name = pod.metadata?.name ?? "";
    const entry = this.of(name);
    const phase = pod.status?.phase;
    if (phase) entry.phase = phase;
    const state = pod.status?.containerStatuses?.[0]?.state;
    const reason = pod.status?.reason ?? state?.waiting?.reason ?? state?.terminated?.reason;
    if (reason) entry.reason = reason;
    if (pod.spec?.nodeName) this.#mark(name, entry, "bound");
    if (phase === "Running") this.#mark(name, entry, "running");
    if (phase === "Succeeded" || phase === "Failed") this.#mark(name, entry, "terminal");
    if (deleted) this.#mark(name, entry, "gone");
  }

  #mark(name: string, entry: Seen, moment: Moment): void {
    if (entry[moment] !== undefined) return;
    entry[moment] = nowMs();
    this.onMoment(name, moment);
    for (const waiting of this.#waiting) {
      if (waiting.moment === moment && waiting.missing.delete(name) && waiting.missing.size === 0) waiting.resolve();
    }
  }
}
