/** The time that a batch system gives a node, counted from the agent's start. All in ms since the epoch, or ms. */
export interface Walltime {
  startedAt: number;
  durationMs: number;
  /** How long before the end the node is drained. */
  marginMs: number;
}

export interface WalltimeState {
  /** For the label `jiriaf.alivetime`: whole seconds that are left, never below 0. */
  aliveSeconds: number;
  /** From now on nothing new starts, and what runs is ended. */
  draining: boolean;
  /** How long pods may still take to end. */
  leftMs: number;
  /** When the drain begins. */
  drainAt: number;
}

/** The labels by which pods choose a node that lives long enough, as virtual-kubelet-cmd has them. */
export const walltimeLabel = "jiriaf.walltime";
export const alivetimeLabel = "jiriaf.alivetime";

const defaultMarginMs = 30_000;

/**
 * @param seconds 0: no limit, and then no labels either (as JIRIAF_WALLTIME has it)
 * @param marginSeconds @default 30, but at most a quarter of the whole time
 */
export function walltimeOf(
  seconds: number,
  marginSeconds: number | undefined,
  startedAt: number,
): Walltime | undefined {
  if (seconds <= 0) return undefined;
  const durationMs = seconds * 1000;
  const marginMs = marginSeconds === undefined ? Math.min(defaultMarginMs, durationMs / 4) : marginSeconds * 1000;
  return { startedAt, durationMs, marginMs };
}

export function walltimeState({ startedAt, durationMs, marginMs }: Walltime, now: number): WalltimeState {
  const end = startedAt + durationMs;
  const leftMs = Math.max(0, end - now);
  const drainAt = end - marginMs;
  return { aliveSeconds: Math.floor(leftMs / 1000), draining: now >= drainAt, leftMs, drainAt };
}

/** The node's labels about its time; a label that counts down is rewritten by whoever calls this again. */
export function walltimeLabels(walltime: Walltime | undefined, now: number): Record<string, string> {
  if (!walltime) return {};
  return {
    [walltimeLabel]: String(Math.round(walltime.durationMs / 1000)),
    [alivetimeLabel]: String(walltimeState(walltime, now).aliveSeconds),
  };
}

/** How often they are rewritten: a short time counts down in smaller steps. */
export function walltimeLabelsEveryMs({ durationMs }: Walltime): number {
  return Math.min(10_000, Math.max(1000, durationMs / 20));
}
