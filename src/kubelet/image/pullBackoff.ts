/** The kubelet's back-off of image pulls. */
export const pullBackoffFirstMs = 10_000;
export const pullBackoffMaxMs = 300_000;

export interface Backoff {
  delayMs: number;
  /** No pull before this. ms since the epoch */
  until: number;
}

/** The back-off after another pull failed at `now`. A quiet time of twice the longest delay starts it all over. */
export function nextPull(before: Backoff | undefined, now: number): Backoff {
  const fresh = !before || now - before.until > 2 * pullBackoffMaxMs;
  const delayMs = fresh ? pullBackoffFirstMs : Math.min(before.delayMs * 2, pullBackoffMaxMs);
  return { delayMs, until: now + delayMs };
}
