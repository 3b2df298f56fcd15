import { type ChildProcess, spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { HostletError } from "../../errors.ts";
import type { ContainerStreams, ExecRequest, StreamsEnd } from "../../runtimes/streams.ts";
import { attemptOf } from "./jobLog.ts";
import type { SlurmPod } from "./pod.ts";

export interface StepOptions {
  srun: string;
  /** Node, its options, hostlet: as the compute node runs it. */
  program: readonly string[];
  env: Record<string, string>;
  podName: string;
}

/**
 * `srun` for one more process in a job that runs, beside what it runs already: on the host of the containers, with nothing of its own.
 * @throws {HostletError} NotFound
 */
function startStep(
  options: StepOptions,
  pod: SlurmPod | undefined,
  args: readonly string[],
  stdin: boolean,
): ChildProcess {
  const { jobId, host } = pod ?? {};
  if (!pod || pod.over || jobId === undefined || host === undefined) {
    throw new HostletError("NotFound", `pod "${options.podName}" has no job that runs`);
  }
  const step = ["--overlap", `--jobid=${jobId}`, "--nodes=1", "--ntasks=1", `--nodelist=${host}`, "--mem=0"];
  const quiet = ["--cpu-bind=none", "--unbuffered", "--quiet", `--input=${stdin ? "0" : "none"}`];
  return spawn(options.srun, [...step, ...quiet, ...options.program, ...args], {
    env: { ...options.env, LC_ALL: "C" },
    stdio: [stdin ? "pipe" : "ignore", "pipe", "pipe"],
  });
}

/** @throws {HostletError} NotFound, NotSupported */
export function execStep(
  options: StepOptions,
  pod: SlurmPod | undefined,
  podDir: string,
  container: string,
  request: ExecRequest,
  signal: AbortSignal,
): ContainerStreams {
  if (request.tty) {
    throw new HostletError("NotSupported", "exec in a Slurm job has no terminal: leave out -t");
  }
  const dir = pod ? attemptOf(pod, podDir, container, false) : podDir;
  const child = startStep(options, pod, ["pod-exec", dir, "--", ...request.argv], request.stdin);
  const close = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", close, { once: true });
  child.stdin?.on("error", () => {}); // the command ended without reading
  const ended = new Promise<StreamsEnd>((resolve, reject) => {
    child.on("error", (error) => reject(new HostletError("NotSupported", `srun: ${error.message}`, { cause: error })));
    child.on("close", (code, name) => {
      signal.removeEventListener("abort", close);
      resolve(code === null ? { exitCode: 143, message: `srun was ended by ${name}` } : { exitCode: code });
    });
  });
  ended.catch(() => {}); // whoever needs it awaits it
  return {
    ...(child.stdin && { stdin: child.stdin }),
    stdout: child.stdout!,
    stderr: child.stderr!,
    resize() {},
    ended,
    close,
  };
}

/** A connection to a port on loopback of the containers' host, by way of a step that passes the bytes on. */
export function connectStep(
  options: StepOptions,
  pod: SlurmPod | undefined,
  port: number,
  signal: AbortSignal,
): Promise<Duplex> {
  const child = startStep(options, pod, ["pod-connect", String(port)], true);
  let says = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    if (says.length < 1000) says += chunk.toString();
  });
  const stream = Duplex.from({ writable: child.stdin!, readable: child.stdout! });
  stream.on("error", () => {}); // told by whoever uses it
  const close = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", close, { once: true });
  stream.on("close", close);
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(error));
    child.on("close", () => {
      signal.removeEventListener("abort", close);
      reject(new Error(`port ${port}: ${says.trim() || "the connection was refused"}`));
    });
    // The step says so when it is connected; before that nothing comes of it.
    child.stderr?.on("data", () => {
      if (says.startsWith("connected\n")) resolve(stream);
    });
  });
}
