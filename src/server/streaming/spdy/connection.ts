import type { Duplex } from "node:stream";
import type { Clock } from "../../../clock.ts";
import {
  controlFrame,
  controlType,
  dataHead,
  type Frame,
  FrameReader,
  flagFin,
  numbers,
  resetStatus,
} from "./frames.ts";
import { HeaderReader, HeaderWriter } from "./headers.ts";
import { SpdyStream } from "./stream.ts";

export interface SpdyConnectionOptions {
  clock: Clock;
  /** How many streams may be open at a time; others are refused. */
  maxStreams: number;
  /** Nothing goes to and fro for so long: the connection is ended. @default 4 hours, as the kubelet's */
  idleMs?: number;
  /** A stream was opened, and answered. What this throws refuses it. */
  opened(stream: SpdyStream): void;
}

export const defaultIdleMs = 4 * 3_600_000;
/** A peer that is gone is found out by writing to it, also while nothing is read from it. */
export const pingMs = 30_000;
/** Of small frames, to a peer that doesn't read: then nothing more is read from it. */
const mostUnsent = 1024 * 1024;
const windowMost = 2 ** 31 - 1;

/** A fault of the peer that ends the connection. */
class ProtocolError extends Error {}

/**
 * The server's side of SPDY/3.1 over a connection that was upgraded to it: streams that the client opens. Go's clients never send
 * WINDOW_UPDATE, so what the other side can take is known from the connection alone.
 */
export class SpdyConnection {
  /** Resolves when the connection is over, in whatever way. */
  readonly closed: Promise<void>;
  readonly #transport: Duplex;
  readonly #options: SpdyConnectionOptions;
  readonly #streams = new Map<number, { stream: SpdyStream; window: number }>();
  readonly #headers = new HeaderReader();
  readonly #headerWriter = new HeaderWriter();
  #newest = 0;
  #pings = 0;
  #active = true;
  #cancelIdle = () => {};
  #cancelPing = () => {};
  #unsent: (() => void)[] = [];

  constructor(transport: Duplex, head: Buffer, options: SpdyConnectionOptions) {
    this.#transport = transport;
    this.#options = options;
    this.closed = new Promise((resolve) => {
      transport.once("close", () => {
        this.#over();
        resolve();
      });
    });
    transport.on("error", () => {}); // "close" follows
    transport.on("drain", () => {
      for (const done of this.#unsent.splice(0)) done();
    });
    this.#watchIdle();
    this.#ping();
    void this.#run(head);
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Says goodbye once all that was written is on its way, and closes. Idempotent. */
  end(): void {
    if (this.#transport.writableEnded || this.#transport.destroyed) return;
    this.#transport.end(controlFrame(controlType.goAway, numbers(this.#newest, 0)));
    // What the client still sends is read and thrown away: a close with unread data would cost it what is under way.
    const cancel = this.#options.clock.after(5_000, () => this.#transport.destroy());
    void this.closed.then(cancel);
  }

  destroy(): void {
    this.#transport.destroy();
  }

  async #run(head: Buffer): Promise<void> {
    const reader = new FrameReader();
    try {
      if (head.length > 0) await this.#take(reader, head);
      for await (const chunk of this.#transport.iterator({ destroyOnReturn: false })) await this.#take(reader, chunk);
    } catch (error) {
      if (error instanceof ProtocolError && this.#transport.writable) {
        this.#transport.write(controlFrame(controlType.goAway, numbers(this.#newest, resetStatus.protocolError)));
      }
    }
    // A client that says no more is gone, and so is what it has asked for.
    this.#transport.end();
    this.#transport.destroy();
  }

  async #take(reader: FrameReader, chunk: Buffer): Promise<void> {
    let frames: Generator<Frame>;
    try {
      frames = reader.push(chunk);
      for (const frame of frames) {
        if (frame.kind === "control") await this.#control(frame.type, frame.flags, frame.payload);
        else await this.#data(frame.stream, frame.data, frame.fin);
        if (this.#transport.writableLength > mostUnsent) await this.#sent();
        if (this.#transport.destroyed) return;
      }
    } catch (cause) {
      throw cause instanceof ProtocolError ? cause : new ProtocolError("not SPDY/3.1", { cause });
    }
  }

  async #data(id: number, data: Buffer, fin: boolean): Promise<void> {
    this.#active = true;
    // Of a stream that is over, or never was: what is under way then is nobody's.
    await this.#streams.get(id)?.stream.receive(data, fin);
  }

  async #control(type: number, flags: number, payload: Buffer): Promise<void> {
    const number = (at: number) => {
      if (payload.length < at + 4) throw new ProtocolError("a control frame is too short");
      return payload.readUInt32BE(at);
    };
    switch (type) {
      case controlType.synStream:
        this.#active = true;
        return this.#open(number(0) & 0x7fffffff, flags, payload);
      case controlType.synReply:
      case controlType.headers:
        number(0);
        await this.#headers.read(payload.subarray(4)); // for the context that all blocks share
        return;
      case controlType.rstStream:
        this.#streams.get(number(0) & 0x7fffffff)?.stream.reset(new Error("the client has reset the stream"));
        return;
      case controlType.ping:
        if (number(0) % 2 === 1) this.#write(controlFrame(type, numbers(number(0))));
        return;
      case controlType.windowUpdate:
        this.#widen(number(0) & 0x7fffffff, number(4) & 0x7fffffff);
    }
  }

  async #open(id: number, flags: number, payload: Buffer): Promise<void> {
    if (payload.length < 10) throw new ProtocolError("a SYN_STREAM is too short");
    const headers = await this.#headers.read(payload.subarray(10));
    if (this.#streams.has(id)) return this.#refuse(id, resetStatus.protocolError);
    if (id % 2 === 0 || id <= this.#newest) throw new ProtocolError(`a stream was opened with the number ${id}`);
    this.#newest = id;
    if (this.#streams.size >= this.#options.maxStreams) return this.#refuse(id, resetStatus.refusedStream);
    const stream = new SpdyStream(id, headers, {
      send: (data, fin, done) => this.#send(id, data, fin, done),
      credit: (bytes) => this.#write(controlFrame(controlType.windowUpdate, numbers(id, bytes))),
      left: (broken) => {
        this.#streams.delete(id);
        if (broken) this.#refuse(id, resetStatus.cancel);
      },
    });
    this.#streams.set(id, { stream, window: 64 * 1024 });
    this.#write(controlFrame(controlType.synReply, Buffer.concat([numbers(id), this.#headerWriter.write({})])));
    if (flags & flagFin) await stream.receive(Buffer.alloc(0), true);
    try {
      this.#options.opened(stream);
    } catch {
      stream.destroy();
    }
  }

  /** Nothing of ours waits for it, but an overflow is an error of that stream (2.6.8). */
  #widen(id: number, bytes: number): void {
    const entry = this.#streams.get(id);
    if (!entry) return;
    entry.window += bytes;
    if (entry.window <= windowMost) return;
    this.#refuse(id, resetStatus.flowControlError);
    entry.stream.reset(new Error("the client has let the stream's window overflow"));
  }

  #refuse(id: number, status: number): void {
    this.#write(controlFrame(controlType.rstStream, numbers(id, status)));
  }

  #send(id: number, data: Buffer, fin: boolean, done: () => void): void {
    this.#active = true;
    if (!this.#transport.writable) {
      done();
      return;
    }
    this.#transport.cork();
    let more = this.#transport.write(dataHead(id, data.length, fin ? flagFin : 0));
    if (data.length > 0) more = this.#transport.write(data);
    this.#transport.uncork();
    if (more) done();
    else this.#unsent.push(done);
  }

  #write(frame: Buffer): void {
    if (this.#transport.writable) this.#transport.write(frame);
  }

  #sent(): Promise<void> {
    return new Promise((resolve) => this.#unsent.push(resolve));
  }

  #watchIdle(): void {
    this.#cancelIdle = this.#options.clock.after(this.#options.idleMs ?? defaultIdleMs, () => {
      if (!this.#active) return this.destroy();
      this.#active = false;
      this.#watchIdle();
    });
  }

  #ping(): void {
    this.#cancelPing = this.#options.clock.after(pingMs, () => {
      this.#pings += 2;
      this.#write(controlFrame(controlType.ping, numbers(this.#pings)));
      this.#ping();
    });
  }

  #over(): void {
    this.#cancelIdle();
    this.#cancelPing();
    this.#headers.close();
    for (const done of this.#unsent.splice(0)) done();
    for (const { stream } of this.#streams.values()) stream.reset(new Error("the connection to the client is gone"));
  }
}
