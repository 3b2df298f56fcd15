import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Duplex, PassThrough } from "node:stream";
import { HostletError } from "../../errors.ts";
import type { ContainerStreams, ExecRequest, StreamsEnd } from "../../runtimes/streams.ts";
import { FrameParser } from "./frames.ts";
import { attemptOf } from "./jobLog.ts";
import type { SlurmPod } from "./pod.ts";
import { sentence } from "./refusals.ts";

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
  const quiet = ["--unbuffered", "--quiet", `--input=${stdin ? "0" : "none"}`];
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
  if (pod && !pod.runs(container)) {
    const message = `container "${container}" in pod "${options.podName}" is not running`;
    throw new HostletError("NotFound", message);
  }
  const child = startStep(options, pod, ["pod-exec", dir, "--", ...request.argv], request.stdin);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const close = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", close, { once: true });
  child.stdin?.on("error", () => {}); // the command ended without reading
  const ended = passOn(child, stdout, stderr).finally(() => {
    signal.removeEventListener("abort", close);
    stdout.end();
    stderr.end();
  });
  ended.catch(() => {}); // whoever needs it awaits it
  return { ...(child.stdin && { stdin: child.stdin }), stdout, stderr, resize() {}, ended, close };
}

/** @throws {HostletError} NotSupported where the step did not come to run */
async function passOn(child: ChildProcess, stdout: PassThrough, stderr: PassThrough): Promise<StreamsEnd> {
  let says = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    if (says.length < 2000) says += chunk.toString();
  });
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  failed.catch(() => {}); // raced below
  const parser = new FrameParser();
  let exitCode: number | undefined;
  const read = async () => {
    for await (const chunk of child.stdout!) {
      for (const frame of parser.push(chunk)) {
        if (frame.kind === "exit") exitCode = frame.code;
        else await taken(frame.kind === "out" ? stdout : stderr, frame.data);
      }
    }
  };
  try {
    await Promise.race([read(), failed]);
  } catch (cause) {
    child.kill("SIGTERM");
    throw new HostletError("NotSupported", `exec: ${sentence(says) || (cause as Error).message}`, { cause });
  }
  if (exitCode !== undefined) return { exitCode };
  if (child.killed) return { exitCode: 143, message: "the command was ended" };
  throw new HostletError("NotSupported", `exec: ${sentence(says)}`);
}

/** Waits while the reader is slower. */
async function taken(stream: PassThrough, data: Buffer): Promise<void> {
  if (stream.destroyed || stream.write(data)) return;
  await Promise.race([once(stream, "drain"), once(stream, "close")]);
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
