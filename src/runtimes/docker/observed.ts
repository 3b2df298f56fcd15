import type { ContainerExit, RuntimeContainer } from "../contract.ts";
import type { ContainerInspect } from "./api.ts";
import { idIn, labels } from "./names.ts";

/** What an engine's container is to us. */
export interface Observed {
  container: RuntimeContainer;
  /** `created`: claimed, and never run so far. */
  phase: "created" | "running" | "ended";
}

/** Undefined for a container that is none of ours. */
export function observe(engine: string, inspect: ContainerInspect): Observed | undefined {
  const own = inspect.Config.Labels ?? {};
  const id = idIn(own);
  if (!id) return undefined;
  const startedAt = timeOf(inspect.State.StartedAt);
  const imageID = own[labels.imageID];
  const container: RuntimeContainer = {
    id,
    restartCount: Number(own[labels.restartCount] ?? 0) || 0,
    containerID: `${engine}://${inspect.Id}`,
    ...(startedAt !== undefined && { startedAt }),
    ...(imageID !== undefined && { imageID }),
  };
  const exit = exitOf(inspect, own[labels.refused]);
  if (exit) return { container: { ...container, exit }, phase: "ended" };
  return { container, phase: startedAt === undefined ? "created" : "running" };
}

function exitOf(inspect: ContainerInspect, refused: string | undefined): ContainerExit | undefined {
  if (refused !== undefined) return JSON.parse(refused) as ContainerExit;
  const { Status, ExitCode, OOMKilled = false } = inspect.State;
  const startedAt = timeOf(inspect.State.StartedAt);
  if (startedAt === undefined || !["exited", "dead", "stopped"].includes(Status)) return undefined;
  const reason = OOMKilled ? "OOMKilled" : ExitCode === 0 ? "Completed" : "Error";
  // Two clocks of the engine's are a little apart.
  const finishedAt = Math.max(startedAt, timeOf(inspect.State.FinishedAt) ?? 0);
  return { exitCode: ExitCode, reason, startedAt, finishedAt };
}

export function cannotRun(exitCode: number, message: string, finishedAt: number): ContainerExit {
  return { exitCode, reason: "ContainerCannotRun", message, finishedAt };
}

/** What a shell would exit with where the engine tells only in words why a program could not be started. */
export function startFailure(message: string): number {
  if (/executable file not found|no such file or directory/i.test(message)) return 127;
  return /permission denied|is a directory|exec format error/i.test(message) ? 126 : 128;
}

/** ms since the epoch; undefined for Go's zero time. */
export function timeOf(text: string | undefined): number | undefined {
  const ms = Date.parse((text ?? "").replace(/(\.\d{3})\d+/, "$1"));
  return Number.isNaN(ms) || ms <= 0 ? undefined : ms;
}
