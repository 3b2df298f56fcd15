import { Readable, Writable } from "node:stream";
import type { ContainerStreams, StreamsEnd } from "../streams.ts";
import { encodeFrame, FrameReader, frameType, longestData } from "./frames.ts";
import { parseStreamsEnd, type ShimConnection } from "./shimStreams.ts";

/** What waits here for a client; the shim holds another MiB. */
const longestLag = 8 * 1024 * 1024;

export interface AttachOptions {
  stdin: boolean;
  tty: boolean;
  /** The container's standard input ends with this connection. */
  stdinOnce: boolean;
}

/**
 * Joins the main process of a container. The container never waits for a client: one that falls too far behind loses the
 * connection, with an error that says so; its log has all.
 */
export class AttachStreams implements ContainerStreams {
  readonly stdin?: Writable;
  readonly stdout: Readable;
  readonly stderr?: Readable;
  readonly ended: Promise<StreamsEnd>;
  /** The connection has ended; what it brought may still be to read. */
  readonly over: Promise<void>;
  readonly #socket: ShimConnection["socket"];
  readonly #stdinOnce: boolean;
  #closed = false;
  #end: StreamsEnd | undefined;

  constructor({ socket, rest }: ShimConnection, { stdin, tty, stdinOnce }: AttachOptions) {
    this.#socket = socket;
    this.#stdinOnce = stdin && stdinOnce;
    this.stdout = output();
    if (!tty) this.stderr = output();
    if (stdin) this.stdin = this.#makeStdin();
    const streams = new Map<number, Readable>([[frameType.stdout, this.stdout]]);
    if (this.stderr) streams.set(frameType.stderr, this.stderr);
    let cause: Error | undefined;
    const reader = new FrameReader((type, data) => {
      if (type === frameType.news) this.#end ??= parseStreamsEnd(data.toString());
      const stream = streams.get(type);
      if (!stream || stream.destroyed) return;
      stream.push(data);
      if (stream.readableLength > longestLag) {
        throw new Error(`the client is more than ${longestLag} bytes behind the container`);
      }
    });
    const read = (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (error) {
        cause = error as Error;
        socket.destroy();
      }
    };
    this.over = new Promise((resolve) => socket.on("close", resolve));
    this.ended = new Promise((resolve, reject) => {
      socket.on("close", () => {
        for (const stream of streams.values()) {
          if (this.#closed) stream.destroy();
          else if (cause) stream.destroy(cause);
          else if (!stream.destroyed) stream.push(null);
        }
        if (this.#closed) this.stdin?.destroy();
        if (this.#end) resolve(this.#end);
        else reject(cause ?? new Error("the connection to the container was lost"));
      });
    });
    this.ended.catch(() => {}); // whoever needs it awaits it
    socket.on("data", read);
    read(rest);
    socket.resume();
  }

  resize(rows: number, columns: number): void {
    this.#socket.write(encodeFrame(frameType.resize, `${rows} ${columns}`));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#stdinOnce || this.#socket.destroyed) {
      this.#socket.destroy();
      return;
    }
    this.#socket.write(encodeFrame(frameType.stdin, ""));
    this.#socket.destroySoon();
  }

  #makeStdin(): Writable {
    return new Writable({
      highWaterMark: longestData,
      // The shim reads no more while the container doesn't: then this waits.
      write: (chunk: Uint8Array, _encoding, done) => {
        for (let at = 0; at < chunk.length; at += longestData) {
          const last = at + longestData >= chunk.length;
          const piece = encodeFrame(frameType.stdin, chunk.subarray(at, at + longestData));
          this.#socket.write(piece, last ? () => done() : undefined);
        }
        if (chunk.length === 0) done();
      },
      // Without stdinOnce the container's input outlives its clients.
      final: (done) => {
        if (this.#stdinOnce && !this.#socket.destroyed) this.#socket.write(encodeFrame(frameType.stdin, ""));
        done();
      },
    }).on("error", () => {}); // of a write after close(): nobody has more to do about it
  }
}

function output(): Readable {
  return new Readable({ highWaterMark: longestData, read() {} }).on("error", () => {});
}
