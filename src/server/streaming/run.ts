import type { Readable } from "node:stream";
import type { ContainerStreams } from "../../runtimes/streams.ts";

/** Of output, as a container runtime keeps of a synchronous exec. */
const mostOutput = 16 * 1024 * 1024;

/** Runs a command to its end: standard output, then standard error, as far as they are kept. */
export async function runCommand(streams: ContainerStreams): Promise<{ output: Buffer; exitCode: number }> {
  try {
    const [stdout, stderr, end] = await Promise.all([all(streams.stdout), all(streams.stderr), streams.ended]);
    const why = end.message === undefined ? [] : [Buffer.from(`${end.message}\n`)];
    return { output: Buffer.concat([stdout, stderr, ...why]), exitCode: end.exitCode };
  } finally {
    streams.close();
  }
}

async function all(stream: Readable | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of (stream ?? []) as AsyncIterable<Buffer>) {
    if (length < mostOutput) chunks.push(chunk.subarray(0, mostOutput - length));
    length += chunk.length;
  }
  return Buffer.concat(chunks);
}
