import { describe, expect, test } from "vitest";
import { backoffMaxMs, backoffResetMs, creationRetryMs, nextRestart, recoveredBackoff } from "./backoff.ts";
import { t0 } from "./testing.ts";
import type { Backoff } from "./view.ts";

/** How long each of `count` restarts waits, where the container ends `livesMs` after each start. */
function waits(count: number, livesMs: number, first?: Backoff): number[] {
  const found: number[] = [];
  let entry = first;
  let exit = t0;
  for (let i = 0; i < count; i++) {
    const { startAt, next } = nextRestart(entry, exit);
    found.push((startAt - exit) / 1000);
    entry = next;
    exit = startAt + livesMs;
  }
  return found;
}

describe("the back-off", () => {
  test("doubles from 10 s to 5 minutes, after one restart at once", () => {
    expect(waits(8, 1000)).toEqual([0, 10, 20, 40, 80, 160, 300, 300]);
  });

  test("starts all over after a quiet time of ten minutes, and not before", () => {
    expect(waits(3, backoffResetMs + 1)).toEqual([0, 0, 0]);
    const entry = { delayMs: 80_000, updatedAt: t0 };
    expect(nextRestart(entry, t0 + backoffResetMs).startAt).toBe(t0 + backoffResetMs + 80_000);
    expect(nextRestart(entry, t0 + backoffResetMs + 1).startAt).toBe(t0 + backoffResetMs + 1);
  });

  test("of a container found again is what it would have been without a restart of the agent", () => {
    let entry: Backoff | undefined;
    for (let restarts = 1; restarts <= 9; restarts++) {
      entry = nextRestart(entry, t0).next;
      expect(recoveredBackoff(restarts, t0)?.delayMs).toBe(entry.delayMs);
    }
    expect(recoveredBackoff(0, t0)).toBeUndefined();
    expect(recoveredBackoff(5000, t0)?.delayMs).toBe(backoffMaxMs);
  });

  test("of a creation that fails doubles from 1 s to a minute", () => {
    expect([1, 2, 3, 6, 7, 5000].map((tries) => creationRetryMs(tries) / 1000)).toEqual([1, 2, 4, 32, 60, 60]);
  });
});
