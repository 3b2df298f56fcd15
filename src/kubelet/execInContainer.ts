import type { Readable } from "node:stream";
import { type Clock, sleep } from "../clock.ts";
import { HostletError } from "../errors.ts";
import { onAbort, unlessAborted } from "../kube/abort.ts";
import type { ContainerID, ContainerRuntime } from "../runtimes/contract.ts";
import type { ContainerStreams } from "../runtimes/streams.ts";

/** What is kept of a command's output; the kubelet's limit for probes. */
export const outputLimit = 10 * 1024;
/** How long after its end a command's output is waited for: what it left running may hold that open for ever. */
const drainMs = 500;

export interface ExecResult {
  exitCode: number;
  /** stdout and stderr, their first 10 KiB. */
  output: string;
}

/**
 * Runs a command in a container to its end. When `signal` aborts this rejects at once, whatever becomes of the command,
 * which ends by the same signal.
 * @throws {HostletError} NotSupported, NotFound
 */
export async function execInContainer(
  runtime: ContainerRuntime,
  clock: Clock,
  id: ContainerID,
  argv: string[],
  signal: AbortSignal,
): Promise<ExecResult> {
  if (argv.length === 0) throw new Error("exec: no command is given");
  if (!runtime.exec) {
    throw new HostletError(
      "NotSupported",
      `the container runtime "${runtime.name}" can't run commands in its containers`,
    );
  }
  const starting = runtime.exec(id, { argv, stdin: false, tty: false }, signal);
  // It may come up after nobody waits for it any more.
  void starting.then(
    (streams) => signal.aborted && streams.close(),
    () => {},
  );
  const streams = await unlessAborted(starting, signal);
  try {
    return await unlessAborted(collect(streams, clock, signal), signal);
  } finally {
    streams.close();
  }
}

async function collect(
  { stdout, stderr, ended }: ContainerStreams,
  clock: Clock,
  signal: AbortSignal,
): Promise<ExecResult> {
  const outputs = [stdout, ...(stderr ? [stderr] : [])].map(keepFirst);
  const { exitCode, message } = await ended;
  const drained = new AbortController();
  const forget = onAbort(signal, () => drained.abort());
  await Promise.race([
    Promise.all(outputs.map(({ over }) => over)),
    sleep(clock, drainMs, drained.signal).catch(() => {}),
  ]);
  drained.abort();
  forget();
  const text = Buffer.concat(outputs.flatMap(({ kept }) => kept)).toString("utf8", 0, outputLimit);
  return { exitCode, output: text || (message ?? "") };
}

/** Reads all, keeps the first part. A stream that breaks has said what it had to say. */
function keepFirst(stream: Readable): { kept: Buffer[]; over: Promise<void> } {
  const kept: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    if (size < outputLimit) kept.push(chunk.subarray(0, outputLimit - size));
    size += chunk.length;
  });
  const over = new Promise<void>((resolve) => {
    for (const event of ["end", "error", "close"]) stream.once(event, () => resolve());
  });
  return { kept, over };
}
