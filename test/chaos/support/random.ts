/** `HOSTLET_SEED` repeats a run. */
export const seed = Number(process.env.HOSTLET_SEED ?? Date.now() % 1_000_000);

/** A small generator of numbers in [0, 1), the same for the same seed. */
export function random(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
