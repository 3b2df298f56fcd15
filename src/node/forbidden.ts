import type { Clock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import { isForbidden } from "../kube/apiError.ts";
import { type BackoffOptions, retry } from "../kube/retry.ts";

/** The node authorizer learns of a binding a little after us (measured: within 44 ms); until then it says 403. */
const forbiddenMs = 2_000;

/** Calls `read` again while the API server forbids it, for two seconds. @throws what `read` threw last */
export function retryForbidden<T>(
  read: () => Promise<T>,
  { clock, backoff = { initialMs: 20, maxMs: 400 } }: { clock: Clock; backoff?: BackoffOptions },
  signal: AbortSignal,
): Promise<T> {
  const deadline = clock.now() + forbiddenMs;
  const retryable = (error: unknown) => isForbidden(error) && clock.now() < deadline;
  return retry(read, { clock, signal, retryable, ...backoff });
}

export function readError(what: string, cause: unknown): HostletError {
  const why = isForbidden(cause) ? "the API server forbids it to this node" : "it can't be read";
  return new HostletError("ApiFailed", `${what}: ${why}: ${cause instanceof Error ? cause.message : cause}`, { cause });
}
