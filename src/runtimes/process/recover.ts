import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../clock.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { ContainerID } from "../contract.ts";
import { readAttemptRecord } from "./attemptRecord.ts";
import { type Claim, readClaim, takeClaim } from "./claim.ts";
import { type ExitRecord, statusUnknown } from "./exits.ts";
import { type AttemptPaths, attemptPaths, exitsDir, readExitFile, removeAttempt } from "./layout.ts";

export interface FoundAttempt {
  paths: AttemptPaths;
  restartCount: number;
  /** Absent where a shim has claimed the start and nothing tells of an end: to be followed. */
  exit?: ExitRecord;
}

/**
 * What an attempt is, by what it left:
 * - `ended`: its end is written down.
 * - `undecided`: nobody has claimed its start; whoever takes the claim now, decides.
 * - `neverRan`: an agent took the claim, and no end was written: what it decided came to nothing.
 * - `claimed`: a shim started it, or was about to.
 */
export type AttemptState = "ended" | "undecided" | "neverRan" | "claimed";

export function attemptState(hasExit: boolean, claim: Pick<Claim, "by"> | undefined): AttemptState {
  if (hasExit) return "ended";
  if (!claim) return "undecided";
  return claim.by === "agent" ? "neverRan" : "claimed";
}

/**
 * Finds every attempt of earlier agents with one pass over the directories, and settles the starts that were decided
 * but never made: they are gone afterwards, and will never run.
 */
export function settleAttempts(stateDir: string, log: Logger, clock: Clock): FoundAttempt[] {
  const exits = new Set(readdirSync(exitsDir(stateDir)));
  const found: FoundAttempt[] = [];
  for (const id of listAttempts(stateDir, log)) {
    const paths = attemptPaths(stateDir, id);
    const hasExit = exits.delete(paths.name);
    try {
      const attempt = settle(paths, hasExit, log, clock);
      if (attempt) found.push(attempt);
    } catch (error) {
      // It may run: whoever follows it tries again. To leave it out would be to start it twice.
      log.error({ err: error, container: paths.name }, "what an earlier agent left of a container can't be read");
      found.push({ paths, restartCount: 0 });
    }
  }
  // The end of an attempt whose directory is gone: its removal was interrupted.
  for (const name of exits) rmSync(join(exitsDir(stateDir), name), { recursive: true, force: true });
  return found;
}

function settle(paths: AttemptPaths, hasExit: boolean, log: Logger, clock: Clock): FoundAttempt | undefined {
  const state = attemptState(hasExit, readClaim(paths.dir));
  if (state === "neverRan" || (state === "undecided" && takeClaim(paths.dir, clock.now()))) {
    log.info({ container: paths.name }, "a start that was never made is taken back");
    removeAttempt(paths);
    return undefined;
  }
  const record = readAttemptRecord(paths.dir);
  if (!record)
    log.warn({ container: paths.name }, "attempt.json is missing or not one of ours; its restart count is taken for 0");
  const restartCount = record?.restartCount ?? 0;
  if (state !== "ended") return { paths, restartCount };
  const exit = readExitFile(paths);
  if (exit === undefined || exit === "unreadable") {
    return { paths, restartCount, exit: statusUnknown("the record of its end can't be read", clock.now()) };
  }
  return { paths, restartCount, exit };
}

/** `pods/<uid>/attempts/<container>.<attempt>`; other things in those directories are not ours to judge. */
function* listAttempts(stateDir: string, log: Logger): Generator<ContainerID> {
  const pods = join(stateDir, "pods");
  for (const podUID of list(pods)) {
    const attempts = join(pods, podUID, "attempts");
    for (const name of list(attempts)) {
      const dot = name.lastIndexOf(".");
      const id = { podUID, container: name.slice(0, dot), attempt: Number(name.slice(dot + 1)) };
      if (isOurs(stateDir, id, name)) yield id;
      else log.warn({ path: join(attempts, name) }, "not an attempt of hostlet's; left alone");
    }
  }
}

function isOurs(stateDir: string, id: ContainerID, name: string): boolean {
  if (!/.\.(0|[1-9]\d{0,14})$/.test(name)) return false;
  try {
    attemptPaths(stateDir, id);
    return true;
  } catch {
    return false;
  }
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}
