import type { Clock } from "../clock.ts";
import type { ContainerView, Ending } from "./decide/view.ts";

/** A timer that is longer comes earlier than it should. */
const longestTimer = 2 ** 31 - 1;

/**
 * A clock that tells, before anything else is decided by it, that it was set back. Timers are not touched by that, but what was
 * to happen at a time of the old clock would come late by as much.
 */
export class StepClock implements Clock {
  readonly #clock: Clock;
  readonly #setBack: (ms: number) => void;
  #last: number;
  /** By how much in all. */
  #total = 0;

  /** @param setBack by how much; what has passed since the last question, or since a timer, is not known and not in it */
  constructor(clock: Clock, setBack: (ms: number) => void) {
    this.#clock = clock;
    this.#setBack = setBack;
    this.#last = clock.now();
  }

  now(): number {
    const now = this.#clock.now();
    const before = this.#last;
    this.#last = now;
    if (now < before) {
      this.#total += before - now;
      this.#setBack(before - now);
    }
    return now;
  }

  after(ms: number, callback: () => void): () => void {
    const due = this.now() + this.#total + Math.min(ms, longestTimer);
    return this.#clock.after(ms, () => {
      // So much has passed, whatever the clock says.
      this.#last = Math.max(this.#last, due - this.#total);
      callback();
    });
  }
}

/** Everything that is to happen at some time, after the clock was set back by `ms`. Times that are shown stay as they were. */
export function endingAfterSetBack(ending: Ending, ms: number): Ending {
  return { ...ending, killAt: ending.killAt - ms };
}

/** The same of a container; changes it. */
export function setBackContainer(container: ContainerView, ms: number): void {
  const { problem, backoff, stop } = container;
  if (container.endSeenAt !== undefined) container.endSeenAt -= ms;
  if (problem) problem.retryAt -= ms;
  if (backoff) container.backoff = { ...backoff, updatedAt: backoff.updatedAt - ms };
  if (stop?.killAt !== undefined) stop.killAt -= ms;
  if (stop?.signalledAt !== undefined) stop.signalledAt -= ms;
}
