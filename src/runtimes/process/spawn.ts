import { execFile } from "node:child_process";
import type { ContainerID, ContainerSpec } from "../contract.ts";
import type { Executable } from "./launchers/contract.ts";
import { type AttemptPaths, exitsDir } from "./layout.ts";

export interface LogLimits {
  /** A log file that has reached this many bytes is followed by the next one; 0: never. */
  maxBytes: number;
  /** How many log files of a container are kept. */
  maxFiles: number;
}

/** What marks every process of an attempt, for finding those that lost their shim. */
export function attemptMark(id: ContainerID): string {
  return `${id.podUID}/${id.container}/${id.attempt}`;
}

/** Of `hostlet-shim run` and `exec`. */
export function processOptions(spec: ContainerSpec, executable: Executable): string[] {
  const { uid, gid = process.getgid?.() ?? 0 } = spec.security ?? {};
  const args = ["--cwd", executable.cwd ?? spec.workingDir ?? spec.dir];
  const owner = executable.owner ?? (uid === undefined ? undefined : { uid, gid });
  if (owner) args.push("--owner", `${owner.uid}:${owner.gid}`);
  return args;
}

/** Of `hostlet-shim run`. */
export function shimArguments(
  spec: ContainerSpec,
  executable: Executable,
  paths: AttemptPaths,
  stateDir: string,
  limits: LogLimits,
): string[] {
  const args = ["--dir", paths.dir, "--exits", exitsDir(stateDir), "--id", paths.name];
  // The shim writes it with the agent's rights: not into a directory where another user could have laid a link for it.
  const pgidDir = spec.security?.uid === undefined ? spec.dir : paths.dir;
  args.push(...processOptions(spec, executable), "--pgid-file", `${pgidDir}/pgid`, "--log-dir", paths.dir);
  args.push("--log-max-bytes", String(limits.maxBytes), "--log-max-files", String(limits.maxFiles));
  if (spec.stdin) args.push("--stdin");
  if (spec.tty) args.push("--tty");
  return [...args, "--", executable.file, ...executable.argv];
}

/**
 * Ends all that an attempt left behind when its shim was killed; one that can't die (uninterruptible) is not waited for.
 * @returns how many processes were killed
 */
export function killTree(shim: string, id: ContainerID, payload: { pid: number; startTime: string }): Promise<number> {
  const env = { HOSTLET_ATTEMPT: attemptMark(id) };
  return new Promise((resolve, reject) => {
    execFile(shim, ["kill-tree", String(payload.pid), payload.startTime], { env, timeout: 30_000 }, (error, stdout) => {
      if (error && error.code !== 1) reject(error);
      else resolve(Number.parseInt(stdout, 10) || 0);
    });
  });
}

/** Runs jobs in order, one per turn of the event loop: forking this process blocks, and what else waits must get its turn. */
export class YieldingQueue {
  readonly #jobs: (() => void)[] = [];

  /** Only what the job does at once is in order; the next one does not wait for its promise. */
  run<T>(job: () => Promise<T>): Promise<T> {
    return new Promise((resolve) => {
      this.#jobs.push(() => resolve(job()));
      if (this.#jobs.length === 1) setImmediate(this.#next);
    });
  }

  readonly #next = (): void => {
    this.#jobs[0]?.();
    this.#jobs.shift();
    if (this.#jobs.length > 0) setImmediate(this.#next);
  };
}
