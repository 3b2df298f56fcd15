import { setMaxListeners } from "node:events";

/** What `promise` gives, or at once the signal's reason when that aborts first. The promise itself goes on. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const ignoreAbort = onAbort(signal, () => reject(signal.reason));
    void promise.then(resolve, reject).finally(ignoreAbort);
  });
}

/**
 * Calls back once when `signal` aborts, at once if it has; the returned function takes that back. Hundreds of watches may hang
 * on one signal: Node 20 takes more than ten listeners for a leak and warns, so its limit is lifted.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback();
    return () => {};
  }
  setMaxListeners(0, signal);
  signal.addEventListener("abort", callback, { once: true });
  return () => signal.removeEventListener("abort", callback);
}
