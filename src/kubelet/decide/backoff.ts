import type { Backoff } from "./view.ts";

/** The kubelet's constants: first delay, longest delay, and the quiet time after which it forgets (2 x the longest). */
export const backoffFirstMs = 10_000;
export const backoffMaxMs = 300_000;
export const backoffResetMs = 2 * backoffMaxMs;

/**
 * When a container that ended at `finishedAt` may start again, and its back-off from then on. The first restart is
 * immediate, the second waits 10 s after the exit, each one after that twice as long, up to 5 minutes.
 */
export function nextRestart(entry: Backoff | undefined, finishedAt: number): { startAt: number; next: Backoff } {
  if (!entry || finishedAt - entry.updatedAt > backoffResetMs) {
    return { startAt: finishedAt, next: { delayMs: backoffFirstMs, updatedAt: finishedAt } };
  }
  return {
    startAt: finishedAt + entry.delayMs,
    next: { delayMs: Math.min(entry.delayMs * 2, backoffMaxMs), updatedAt: finishedAt },
  };
}

/** What the back-off must have been, for a container found again after a restart of the agent. */
export function recoveredBackoff(restartCount: number, startedAt: number): Backoff | undefined {
  if (restartCount === 0) return undefined;
  return { delayMs: Math.min(backoffFirstMs * 2 ** (restartCount - 1), backoffMaxMs), updatedAt: startedAt };
}

/** How long the n-th failed creation in a row (from 1) waits for the next try: 1 s doubling to 1 minute. */
export function creationRetryMs(tries: number): number {
  return Math.min(1000 * 2 ** (tries - 1), 60_000);
}
