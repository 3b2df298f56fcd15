import { Duplex, Readable, Writable } from "node:stream";
import { type ErrorCode, errorCodes, HostletError } from "../../errors.ts";
import type { PodRef } from "../../kube/types.ts";
import type { AttachRequest, ContainerStreams, ExecRequest, StreamsEnd } from "../../runtimes/streams.ts";
import type { InterlinkClient } from "./client.ts";
import { AnswerError } from "./http.ts";
import { extensionPaths } from "./wire/extension.ts";
import { FramedSocket } from "./wire/framedSocket.ts";
import { type Channel, channels } from "./wire/frames.ts";

/** exec and attach over the extension. @throws {HostletError} NotFound, NotSupported: the far end's words */
export async function openStreams(
  client: InterlinkClient,
  kind: "exec" | "attach",
  pod: PodRef,
  container: string,
  request: ExecRequest | AttachRequest,
  signal: AbortSignal,
): Promise<ContainerStreams> {
  const remote = await open(client, extensionPaths[kind], { pod, container, request }, signal);
  const { socket } = remote;
  const stdin = remote.granted.stdin === true ? remote.writable(channels.stdin) : undefined;
  const stderr = remote.granted.stderr === true ? remote.readable(channels.stderr) : undefined;
  return {
    ...(stdin && { stdin }),
    stdout: remote.readable(channels.stdout),
    ...(stderr && { stderr }),
    resize: (rows, columns) => void socket.control({ resize: { rows, columns } }),
    ended: remote.ended,
    close: () => socket.destroy(),
  };
}

/** @throws {HostletError} as above; a plain error: the port is not open over there */
export async function openPort(
  client: InterlinkClient,
  pod: PodRef,
  port: number,
  signal: AbortSignal,
): Promise<Duplex> {
  const remote = await open(client, extensionPaths.portForward, { pod, port }, signal);
  const [readable, writable] = [remote.readable(channels.stdout), remote.writable(channels.stdin)];
  const duplex = Duplex.from({ readable, writable }) as Duplex;
  duplex.on("close", () => remote.socket.destroy());
  return duplex;
}

async function open(
  client: InterlinkClient,
  path: string,
  request: object,
  signal: AbortSignal,
): Promise<RemoteStreams> {
  const socket = await client.stream(path, signal).catch((error) => {
    if (error instanceof AnswerError && error.status !== 401 && error.status !== 403) {
      throw new HostletError("NotSupported", `the other side of ${client.url} does not do it: ${error.body}`, {
        cause: error,
      });
    }
    throw error;
  });
  const remote = new RemoteStreams(new FramedSocket(socket), request);
  signal.addEventListener("abort", () => remote.socket.destroy(), { once: true });
  await remote.begun;
  return remote;
}

/** The near end of streams that somebody else has. */
class RemoteStreams {
  readonly socket: FramedSocket;
  granted: { stdin?: unknown; stderr?: unknown } = {};
  readonly begun: Promise<void>;
  readonly ended: Promise<StreamsEnd>;
  readonly #readables = new Map<number, Readable>();
  #begin!: { resolve: () => void; reject: (error: Error) => void };
  #end!: { resolve: (end: StreamsEnd) => void; reject: (error: Error) => void };

  constructor(socket: FramedSocket, request: object) {
    this.socket = socket;
    this.begun = new Promise((resolve, reject) => {
      this.#begin = { resolve, reject };
    });
    this.ended = new Promise((resolve, reject) => {
      this.#end = { resolve, reject };
    });
    this.ended.catch(() => {}); // who does not ask need not be told
    this.#reader(channels.stdout);
    this.#reader(channels.stderr);
    socket.listen({
      data: (channel, payload) => {
        const readable = this.#readables.get(channel);
        // After the end of one stream nobody reads it again: the others must not wait for that.
        if (payload.length > 0 && readable) return readable.push(Buffer.from(payload));
        readable?.push(null);
        return true;
      },
      control: (message) => this.#control(message),
      closed: (error) => this.#closed(error ?? new Error("the connection to the far end was lost")),
    });
    void socket.control(request);
  }

  readable(channel: Channel): Readable {
    return this.#readables.get(channel)!;
  }

  writable(channel: Channel): Writable {
    return new Writable({
      write: (chunk: Buffer, _encoding, done) => void this.socket.send(channel, chunk).then(() => done()),
      final: (done) => void this.socket.send(channel, new Uint8Array()).then(() => done()),
    });
  }

  #reader(channel: Channel): void {
    const readable = new Readable({ read: () => this.socket.resume() });
    readable.on("error", () => {});
    this.#readables.set(channel, readable);
  }

  #control(message: Record<string, unknown>): void {
    const { ok, error, end, lost } = message;
    if (ok !== undefined) {
      this.granted = message;
      this.#begin.resolve();
    } else if (error !== undefined) this.#begin.reject(farError(error));
    else if (lost !== undefined) this.#end.reject(new Error(String(lost)));
    else if (end !== undefined) {
      this.#end.resolve(end as StreamsEnd);
      for (const readable of this.#readables.values()) readable.push(null);
    }
  }

  #closed(error: Error): void {
    this.#begin.reject(error);
    this.#end.reject(error);
    for (const readable of this.#readables.values())
      if (!readable.readableEnded && !readable.destroyed) readable.push(null);
  }
}

function farError(error: unknown): Error {
  const { code, message } = error as { code?: string; message?: string };
  const words = message ?? "the far end failed";
  return code !== undefined && Object.hasOwn(errorCodes, code)
    ? new HostletError(code as ErrorCode, words)
    : new Error(words);
}
