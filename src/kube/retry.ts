import { type Clock, sleep } from "../clock.ts";
import { ApiError, isRetryable } from "./apiError.ts";

export interface BackoffOptions {
  /** The first delay before jitter. @default 200 */
  initialMs?: number;
  /** No delay is longer than this, but for a Retry-After. @default 30_000 */
  maxMs?: number;
  /** Source of jitter in [0, 1). @default Math.random */
  random?: () => number;
}

/** A server that asks for more than this is not taken at its word: nobody would come to wake the agent up. */
const longestRetryAfterMs = 300_000;

/**
 * Milliseconds to wait after the `failures`th failure in a row (1 = the first): doubles each time, and lies between
 * half and the whole of that, so that a thousand agents do not come back in the same instant. A server's Retry-After is a
 * lower bound, with the same jitter on top.
 */
export function backoffMs(failures: number, error: unknown, options: BackoffOptions = {}): number {
  const { initialMs = 200, maxMs = 30_000, random = Math.random } = options;
  const full = Math.min(maxMs, initialMs * 2 ** Math.min(failures - 1, 30));
  const own = full / 2 + (full / 2) * random();
  const seconds = error instanceof ApiError ? (error.retryAfterSeconds ?? 0) : 0;
  const asked = Math.min(seconds * 1000, longestRetryAfterMs);
  return asked > own ? asked + (initialMs / 2) * random() : own;
}

export interface RetryOptions extends BackoffOptions {
  clock: Clock;
  signal: AbortSignal;
  /** Calls of `fn` in all. @default Infinity */
  tries?: number;
  /** @default isRetryable */
  retryable?: (error: unknown) => boolean;
  /** Told before each wait, for the log. */
  onRetry?: (error: unknown, delayMs: number, failures: number) => void;
}

/**
 * Calls `fn` until it succeeds.
 * @throws what `fn` threw last, where that can't be mended by waiting or the tries are used up; the signal's reason
 */
export async function retry<T>(fn: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { clock, signal, tries = Number.POSITIVE_INFINITY, retryable = isRetryable } = options;
  for (let failures = 1; ; failures++) {
    signal.throwIfAborted();
    try {
      return await fn();
    } catch (error) {
      if (signal.aborted || failures >= tries || !retryable(error)) throw error;
      const delayMs = backoffMs(failures, error, options);
      options.onRetry?.(error, delayMs, failures);
      await sleep(clock, delayMs, signal);
    }
  }
}
