import { spawn } from "node:child_process";

/** How Slurm's commands are called: names looked up in PATH, or paths. */
export interface SlurmPaths {
  sbatch: string;
  scancel: string;
  squeue: string;
  sacct: string;
  sinfo: string;
  srun: string;
}

export const standardPaths: SlurmPaths = {
  sbatch: "sbatch",
  scancel: "scancel",
  squeue: "squeue",
  sacct: "sacct",
  sinfo: "sinfo",
  srun: "srun",
};

export interface CommandResult {
  /** Undefined: it did not end by itself (deadline, abort, a signal). */
  code: number | undefined;
  stdout: string;
  stderr: string;
}

/** Longer than any answer of a busy Slurm that still helps. */
const deadlineMs = 60_000;
const mostBytes = 64 * 2 ** 20;

export type RunSlurm = (
  command: keyof SlurmPaths,
  args: readonly string[],
  options?: { signal?: AbortSignal; input?: string; deadlineMs?: number },
) => Promise<CommandResult>;

/**
 * Runs Slurm's commands, each with a deadline. Never rejects: what went wrong is in the result.
 * @param env of the commands, and so of the jobs that they submit
 */
export function slurmCommands(paths: SlurmPaths, env: Record<string, string>): RunSlurm {
  return (command, args, options = {}) =>
    new Promise((resolve) => {
      const child = spawn(paths[command], [...args], {
        env: { ...env, LC_ALL: "C" },
        stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
        timeout: options.deadlineMs ?? deadlineMs,
        killSignal: "SIGKILL",
        ...(options.signal && { signal: options.signal }),
      });
      const stdout = collect(child.stdout);
      const stderr = collect(child.stderr);
      child.stdin?.on("error", () => {}); // it ended without reading
      child.stdin?.end(options.input);
      let problem = "";
      child.on("error", (error: NodeJS.ErrnoException) => {
        problem = error.code === "ENOENT" ? `${paths[command]}: not found on this host` : error.message;
        // Where nothing was started there is no "close".
        if (child.pid === undefined) resolve({ code: undefined, stdout: "", stderr: problem });
      });
      child.on("close", (code, signal) => {
        const says = stderr() || problem || (signal ? `${command} did not answer in time` : "");
        resolve({ code: code ?? undefined, stdout: stdout(), stderr: says });
      });
    });
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream?.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= mostBytes) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString();
}
