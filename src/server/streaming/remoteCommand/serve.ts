import type { Readable, Writable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import type { Status } from "../../../kube/types.ts";
import type { ContainerStreams, StreamsEnd } from "../../../runtimes/streams.ts";
import { endStatus, errorStatus } from "../status.ts";
import type { RemoteChannels } from "./channels.ts";
import { SizeReader } from "./sizes.ts";

/**
 * Joins a client's streams and a container's until the command has ended and the client has all its output, and tells how it
 * ended. A client that goes away ends it, by the signal that `streams` was made with.
 * @param success what an end means: of attach, nothing but that it is over
 */
export async function serveRemoteCommand(
  channels: RemoteChannels,
  streams: ContainerStreams,
  toStatus: (end: StreamsEnd) => Status = endStatus,
): Promise<void> {
  takeInput(channels.stdin, streams.stdin);
  takeSizes(channels.resize, streams);
  let status: Status;
  try {
    const output = [give(streams.stdout, channels.stdout), give(streams.stderr, channels.stderr)];
    const [end] = await Promise.all([streams.ended, ...output]);
    await explain(end, channels);
    status = toStatus(end);
  } catch (error) {
    status = errorStatus(error);
  } finally {
    streams.close();
  }
  for (const stream of [channels.stdout, channels.stderr]) stream?.end();
  await channels.finish(status);
}

/** What a command was not started for is shown where its errors would be; a client shows nothing else of it than the exit code. */
async function explain({ exitCode, message }: StreamsEnd, { stdout, stderr }: RemoteChannels): Promise<void> {
  if (message === undefined || exitCode < 126 || exitCode > 128) return;
  const stream = stderr ?? stdout;
  if (stream?.writable) await new Promise<void>((resolve) => stream.write(`${message}\n`, () => resolve()));
}

function takeInput(from: Readable | undefined, to: Writable | undefined): void {
  if (!from) return;
  if (to)
    pipeline(from, to).catch(() => to.end()); // its end is the command's affair, or the connection's
  else from.resume();
}

function takeSizes(resize: Readable | undefined, streams: ContainerStreams): void {
  const sizes = new SizeReader();
  resize?.on("data", (chunk: Uint8Array) => {
    for (const { rows, columns } of sizes.push(chunk)) streams.resize(rows, columns);
  });
}

/** All of it, or what the client still takes. */
async function give(from: Readable | undefined, to: Writable | undefined): Promise<void> {
  if (!from) return;
  if (!to) {
    from.resume();
    await finished(from);
    return;
  }
  await pipeline(from, to, { end: false });
}
