import { Readable, Writable } from "node:stream";
import type { ContainerStreams, ExecRequest, StreamsEnd } from "../streams.ts";
import { encodeFrame, FrameReader, frameType, longestData } from "./frames.ts";
import type { Executable } from "./launchers/contract.ts";
import { parseStreamsEnd, type ShimConnection } from "./shimStreams.ts";

/** How much of a stream may be on its way without the other side having made room for it: WINDOW_BYTES in shim.c. */
const windowBytes = 256 * 1024;

/** `exec LENGTH`, then the arguments of `hostlet-shim exec`, each with a NUL behind it. */
export function encodeExecRequest(options: readonly string[], executable: Executable): Buffer {
  const body = Buffer.from([...options, "--", executable.file, ...executable.argv].map((arg) => `${arg}\0`).join(""));
  return Buffer.concat([Buffer.from(`exec ${body.length}\n`), body]);
}

/**
 * A command in a container, over the connection to its own shim, which ends it with its whole tree when the connection does.
 * Each stream has its window, so that one that nobody reads holds up neither the others nor the end.
 */
export class ExecStreams implements ContainerStreams {
  readonly stdin?: Writable;
  readonly stdout: Readable;
  readonly stderr?: Readable;
  readonly ended: Promise<StreamsEnd>;
  /** The connection has ended; what it brought may still be to read. */
  readonly over: Promise<void>;
  readonly #socket: ShimConnection["socket"];
  #end!: (end: StreamsEnd) => void;
  #closed = false;
  /** How much of stdin the shim still takes. */
  #room = windowBytes;
  #unsent: { chunk: Uint8Array; done: () => void } | undefined;

  constructor({ socket, rest }: ShimConnection, request: Pick<ExecRequest, "stdin" | "tty">) {
    this.#socket = socket;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    const types = request.tty ? [frameType.stdout] : [frameType.stdout, frameType.stderr];
    const outputs = new Map<number, Output>();
    for (const type of types) outputs.set(type, new Output((bytes) => this.#grant(type, bytes)));
    this.stdout = outputs.get(frameType.stdout)!;
    if (!request.tty) this.stderr = outputs.get(frameType.stderr)!;
    if (request.stdin) this.stdin = this.#makeStdin();
    const reader = new FrameReader((type, data) => {
      if (type === frameType.news) this.#hear(data.toString());
      else if (type === frameType.room) this.#makeRoom(data.toString());
      else outputs.get(type)?.deliver(data);
    });
    const read = (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch {
        socket.destroy(); // not a shim: its end is told as that of a shim that was killed
      }
    };
    socket.on("data", read);
    this.over = new Promise((resolve) => socket.on("close", resolve));
    socket.on("close", () => {
      this.#end({ exitCode: 137, signal: 9, message: "the command was killed, with its container or its connection" });
      this.#send();
      for (const output of outputs.values()) output.finish(this.#closed);
      if (this.#closed) this.stdin?.destroy();
    });
    read(rest);
    socket.resume();
  }

  resize(rows: number, columns: number): void {
    this.#socket.write(encodeFrame(frameType.resize, `${rows} ${columns}`));
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  #makeStdin(): Writable {
    return new Writable({
      highWaterMark: longestData,
      write: (chunk: Uint8Array, _encoding, done) => {
        this.#unsent = { chunk, done };
        this.#send();
      },
      final: (done) => {
        if (!this.#socket.destroyed) this.#socket.write(encodeFrame(frameType.stdin, ""));
        done();
      },
    }).on("error", () => {}); // of a write after close(): nobody has more to do about it
  }

  #send(): void {
    while (this.#unsent) {
      const { chunk, done } = this.#unsent;
      const n = Math.min(chunk.length, this.#room, longestData);
      if (chunk.length === 0 || this.#socket.destroyed) {
        this.#unsent = undefined;
        done();
        continue;
      }
      if (n === 0) return;
      this.#room -= n;
      this.#socket.write(encodeFrame(frameType.stdin, chunk.subarray(0, n)));
      this.#unsent = { chunk: chunk.subarray(n), done };
    }
  }

  #makeRoom(text: string): void {
    this.#room += Number(/^0 (\d+)$/.exec(text)?.[1] ?? 0);
    this.#send();
  }

  #hear(line: string): void {
    const end = parseStreamsEnd(line);
    if (end) this.#end(end);
  }

  #grant(stream: number, bytes: number): void {
    if (!this.#socket.destroyed) this.#socket.write(encodeFrame(frameType.room, `${stream} ${bytes}`));
  }
}

/** Holds no more than the window: room is granted for what was read. */
class Output extends Readable {
  readonly #grant: (bytes: number) => void;
  #owed = 0;
  #ended = false;

  constructor(grant: (bytes: number) => void) {
    super({ highWaterMark: longestData });
    this.#grant = grant;
    this.on("error", () => {});
  }

  deliver(data: Buffer): void {
    if (this.#ended) return;
    if (data.length === 0) {
      this.finish(false);
      return;
    }
    this.#owed += data.length;
    // Destroyed by its reader: what comes is thrown away, the command goes on.
    if (this.destroyed || this.push(data)) this.#pay();
  }

  finish(cut: boolean): void {
    if (cut) this.destroy();
    if (this.#ended) return;
    this.#ended = true;
    if (!this.destroyed) this.push(null);
  }

  override _read(): void {
    this.#pay();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#pay();
    done(error);
  }

  #pay(): void {
    if (!this.destroyed && this.#owed < windowBytes / 8 && this.readableLength > 0) return;
    if (this.#owed > 0) this.#grant(this.#owed);
    this.#owed = 0;
  }
}
