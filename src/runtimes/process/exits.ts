import { constants } from "node:os";
import type { ContainerExit } from "../contract.ts";
import { formatRecord, msToNanos, nanosToMs, parseRecord, wholeNumber } from "./records.ts";

/**
 * What an exit file says. `reason` is only in those that the agent wrote itself, for a container whose end no shim
 * could tell.
 */
export interface ExitRecord {
  kind: "exited" | "signaled" | "error";
  /** exit code, signal number or errno */
  code: number;
  /** ms since the epoch; absent where the payload never ran */
  started?: number;
  /** ms since the epoch */
  finished: number;
  message?: string;
  reason?: string;
  /** Of an error: what failed. */
  step?: "start" | "cwd" | "exec";
}

/** Undefined for anything that is not a whole, known record. */
export function parseExit(text: string): ExitRecord | undefined {
  const fields = parseRecord(text);
  const { kind, step } = fields;
  const code = wholeNumber(fields.code);
  const finished = nanosToMs(fields.finished);
  if ((kind !== "exited" && kind !== "signaled" && kind !== "error") || code === undefined || finished === undefined) {
    return undefined;
  }
  const started = nanosToMs(fields.started);
  return {
    kind,
    code,
    finished,
    ...(started === undefined ? {} : { started }),
    ...(fields.message === undefined ? {} : { message: fields.message }),
    ...(fields.reason === undefined ? {} : { reason: fields.reason }),
    ...(step === "start" || step === "cwd" || step === "exec" ? { step } : {}),
  };
}

export function formatExit(record: ExitRecord): string {
  return formatRecord({
    v: 1,
    kind: record.kind,
    code: record.code,
    started: record.started === undefined ? undefined : msToNanos(record.started),
    finished: msToNanos(record.finished),
    reason: record.reason,
    step: record.step,
    message: record.message,
  });
}

const { ENOENT, EACCES, ENOEXEC, EISDIR } = constants.errno;

/** The exit codes that shells and container runtimes use for a command that could not be executed. */
export function exitCodeOfErrno(errno: number): number {
  if (errno === ENOENT) return 127;
  return errno === EACCES || errno === ENOEXEC || errno === EISDIR ? 126 : 128;
}

export function toContainerExit(record: ExitRecord): ContainerExit {
  const times = {
    finishedAt: record.finished,
    ...(record.started === undefined ? {} : { startedAt: record.started }),
    ...(record.message === undefined ? {} : { message: record.message }),
  };
  switch (record.kind) {
    case "exited":
      return { exitCode: record.code, reason: record.reason ?? (record.code === 0 ? "Completed" : "Error"), ...times };
    case "signaled":
      return { exitCode: 128 + record.code, signal: record.code, reason: record.reason ?? "Error", ...times };
    case "error":
      return {
        exitCode: record.step === undefined || record.step === "exec" ? exitCodeOfErrno(record.code) : 128,
        reason: record.reason ?? "ContainerCannotRun",
        ...times,
        message: describeError(record),
      };
  }
}

const steps = { start: "the container could not be started", cwd: "workingDir", exec: "exec" } as const;

function describeError({ step = "exec", message, code }: ExitRecord): string {
  const hint =
    code === ENOEXEC ? " (a script needs a first line such as #!/bin/bash, a program this host's architecture)" : "";
  return `${steps[step]}: ${message ?? `error ${code}`}${hint}`;
}

/** The record of a container that could not be run at all, decided by the agent. */
export function cannotRun(exitCode: number, message: string, now: number): ExitRecord {
  return { kind: "exited", code: exitCode, reason: "ContainerCannotRun", message, finished: now };
}

/** The record of a container of which nobody knows how it ended; 137 is what the kubelet reports then. */
export function statusUnknown(message: string, now: number, started?: number): ExitRecord {
  return {
    kind: "exited",
    code: 137,
    reason: "ContainerStatusUnknown",
    message,
    finished: now,
    ...(started === undefined ? {} : { started }),
  };
}
