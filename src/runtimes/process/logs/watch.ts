import { type FSWatcher, watch } from "node:fs";
import { type Clock, sleep } from "../../../clock.ts";

/** How often a log is looked at where nothing tells of changes (network file systems, no inotify watches left). */
const pollInterval = 1_000;

/** Two readings of a followed log are this far apart, in ms. */
const shortestWait = 10;

/** Wakes the one reader that follows a log. */
export class LogWatch {
  readonly #clock: Clock;
  readonly #watcher: FSWatcher | undefined;
  #changed = false;
  #last = 0;
  #wake: (() => void) | undefined;

  constructor(logDir: string, clock: Clock) {
    this.#clock = clock;
    try {
      this.#watcher = watch(logDir, { persistent: false }, () => this.notify());
      this.#watcher.on("error", () => {}); // the poll goes on
    } catch {
      this.#watcher = undefined;
    }
  }

  notify(): void {
    this.#changed = true;
    this.#wake?.();
  }

  /** Resolves when something may have changed since this resolved last. */
  async changed(): Promise<void> {
    // A busy container changes its log thousands of times a second: many lines are then read at once.
    const early = this.#last + shortestWait - this.#clock.now();
    if (early > 0) await sleep(this.#clock, Math.min(early, shortestWait));
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(pollInterval, resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
      this.#wake = undefined;
    }
    this.#changed = false;
    this.#last = this.#clock.now();
  }

  close(): void {
    this.#watcher?.close();
  }
}
