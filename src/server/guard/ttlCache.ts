import type { Clock } from "../../clock.ts";

interface Entry<V> {
  value: V;
  until: number;
}

/**
 * Answers that hold for a while, each its own. Who asks while the answer is under way gets the same one; what failed is
 * not kept. Full, it forgets what was learnt first.
 */
export class TtlCache<V> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #underWay = new Map<string, Promise<V>>();
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #ttlMs: (value: V) => number;

  constructor(clock: Clock, capacity: number, ttlMs: (value: V) => number) {
    this.#clock = clock;
    this.#capacity = capacity;
    this.#ttlMs = ttlMs;
  }

  /** @throws what `load` throws */
  async get(key: string, load: () => Promise<V>): Promise<V> {
    const known = this.#entries.get(key);
    if (known && known.until > this.#clock.now()) return known.value;
    let loading = this.#underWay.get(key);
    if (!loading) {
      loading = load()
        .then((value) => {
          this.#keep(key, value);
          return value;
        })
        .finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, loading);
    }
    return loading;
  }

  #keep(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: this.#clock.now() + this.#ttlMs(value) });
    if (this.#entries.size <= this.#capacity) return;
    const oldest = this.#entries.keys().next();
    if (!oldest.done) this.#entries.delete(oldest.value);
  }
}
