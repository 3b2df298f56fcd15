import type { WirePodStatus } from "../../providers/interlink/wire/types.ts";

interface Entry {
  status: WirePodStatus;
  at: number;
}

/** What the plugin last said of each pod, by UID. What is older than the limit is asked for again; what nobody asks for is forgotten. */
export class StatusCache {
  readonly #maxAgeMs: number;
  readonly #entries = new Map<string, Entry>();

  constructor(maxAgeMs: number) {
    this.#maxAgeMs = maxAgeMs;
  }

  set(statuses: WirePodStatus[], now: number): void {
    for (const status of statuses) {
      if (!status.UID) continue;
      this.#entries.delete(status.UID);
      this.#entries.set(status.UID, { status, at: now });
    }
    // In the order of their age: the first that is young enough ends it.
    for (const [uid, { at }] of this.#entries) {
      if (now - at <= this.#maxAgeMs) return;
      this.#entries.delete(uid);
    }
  }

  get(uid: string, now: number): WirePodStatus | undefined {
    const entry = this.#entries.get(uid);
    return entry && now - entry.at <= this.#maxAgeMs ? entry.status : undefined;
  }

  /** All that is known now. */
  all(now: number): WirePodStatus[] {
    return [...this.#entries.values()].filter(({ at }) => now - at <= this.#maxAgeMs).map(({ status }) => status);
  }

  delete(uid: string): void {
    this.#entries.delete(uid);
  }
}
