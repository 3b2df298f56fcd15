import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../clock.ts";

/** How old a figure may be; the kubelet counts volumes once a minute, too. */
const maxAgeMs = 60_000;
/** A directory with more entries than this is not counted: it would keep the disk busy every minute. */
const mostEntries = 100_000;

interface Known {
  /** Undefined: too large, or not readable. */
  bytes: number | undefined;
  at: number;
}

/** What directories hold, counted one after the other and behind the back of whoever asks: the answer is what was known last. */
export class DiskUsage {
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  readonly #waiting = new Set<string>();
  #counting = false;
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Bytes in these directories by path, of those that are counted already; others of before are forgotten. */
  of(dirs: readonly string[]): ReadonlyMap<string, number> {
    const wanted = new Set(dirs);
    for (const dir of this.#known.keys()) if (!wanted.has(dir)) this.#known.delete(dir);
    const found = new Map<string, number>();
    for (const dir of wanted) {
      const known = this.#known.get(dir);
      if (known?.bytes !== undefined) found.set(dir, known.bytes);
      if (!known || this.#clock.now() - known.at >= maxAgeMs) this.#waiting.add(dir);
    }
    if (!this.#counting) void this.#countWaiting();
    return found;
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
  }

  async #countWaiting(): Promise<void> {
    this.#counting = true;
    for (const dir of this.#waiting) {
      this.#waiting.delete(dir);
      const at = this.#clock.now();
      const bytes = await countBytes(dir, () => this.#stopped).catch(() => undefined);
      if (!this.#stopped) this.#known.set(dir, { bytes, at });
    }
    this.#counting = false;
  }
}

/** Blocks on disk, as du counts them; links are not followed. Undefined where there are too many entries. */
export async function countBytes(root: string, stopped: () => boolean = () => false): Promise<number | undefined> {
  let bytes = 0;
  let entries = 0;
  const dirs = [root];
  for (let dir = dirs.pop(); dir !== undefined; dir = dirs.pop()) {
    for await (const entry of await opendir(dir)) {
      if (++entries > mostEntries || stopped()) return undefined;
      const path = join(dir, entry.name);
      if (entry.isDirectory()) dirs.push(path);
      // Files may go while they are counted.
      bytes += (await lstat(path).catch(() => undefined))?.blocks ?? 0;
    }
  }
  return bytes * 512;
}
