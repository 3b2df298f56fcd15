/** A job of pilot nodes, as squeue tells of it. */
export interface PilotJob {
  id: string;
  state: string;
  nodes: number;
  /** ms; undefined while it has not begun. */
  leftMs: number | undefined;
}

/**
 * How many nodes to ask for, so that `wanted` of them are there without a gap: those that end soon no longer count, those that are asked
 * for already do. Pure.
 * @param overlapMs how long before its end a job is replaced
 */
export function nodesToSubmit(jobs: readonly PilotJob[], wanted: number, overlapMs: number): number {
  const counted = jobs.filter(({ state, leftMs }) => {
    if (state === "PENDING" || state === "CONFIGURING") return true;
    return state === "RUNNING" && (leftMs === undefined || leftMs > overlapMs);
  });
  return Math.max(0, wanted - counted.reduce((sum, { nodes }) => sum + nodes, 0));
}

/** `[D-]HH:MM:SS`, `MM:SS`, as squeue's %L has it; undefined: no limit, or not begun. */
export function parseTimeLeft(text: string): number | undefined {
  const match = /^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)$/.exec(text.trim());
  if (!match) return undefined;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  return (((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!) * 1000;
}

export const pilotFormat = "%i|%T|%D|%L|%M|%r|%j|%k";
const mark = /^hostlet-pilot:([a-z0-9-]{1,40})$/;

/** The pilot jobs among all that `squeue --format=pilotFormat` shows. */
export function parsePilots(text: string): (PilotJob & { name: string; reason: string; elapsed: string })[] {
  return text.split("\n").flatMap((line) => {
    const [id = "", state = "", nodes, left = "", elapsed = "", reason = ""] = line.split("|");
    const name = mark.exec(line.slice(line.lastIndexOf("|") + 1).trim())?.[1];
    if (name === undefined) return [];
    return [
      {
        id,
        state,
        nodes: Number(nodes) || 0,
        leftMs: state === "PENDING" ? undefined : parseTimeLeft(left),
        name,
        reason,
        elapsed,
      },
    ];
  });
}
