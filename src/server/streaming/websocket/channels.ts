import { Duplex } from "node:stream";
import type { RawData, WebSocket } from "ws";
import type { Clock } from "../../../clock.ts";
import { defaultIdleMs, pingMs } from "../spdy/connection.ts";

/** How the messages of a client name their channel: by a byte, or in text by a digit, with data in base64. */
export interface ChannelCodec {
  base64: boolean;
  /** Version 5: a message 255, CHANNEL closes a channel. */
  close: boolean;
}

const closeSignal = 255;
/** How much may wait for a reader; then nothing more is read from the connection. */
const mostWaiting = 256 * 1024;

/**
 * Several streams over the messages of one WebSocket. A message for a channel that is not here, or that is none, is thrown
 * away, as the kubelet does.
 */
export class WebSocketChannels {
  /** Resolves when the connection is over, in whatever way. */
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;
  readonly #codec: ChannelCodec;
  readonly #clock: Clock;
  readonly #channels = new Map<number, Channel>();
  #active = true;
  #cancelIdle = () => {};
  #cancelPing = () => {};

  constructor(socket: WebSocket, codec: ChannelCodec, clock: Clock) {
    this.#socket = socket;
    this.#codec = codec;
    this.#clock = clock;
    socket.on("error", () => {}); // "close" follows
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#cancelIdle();
        this.#cancelPing();
        for (const channel of this.#channels.values()) channel.destroy(new Error("the client is gone"));
        resolve();
      });
    });
    this.#watchIdle();
    this.#ping();
  }

  /** A stream of its own for a channel; call it before the first message can have come. */
  open(number: number): Duplex {
    const channel = new Channel({
      send: (data, done) => this.#send(number, data, done),
      room: () => this.#flow(),
    });
    this.#channels.set(number, channel);
    return channel;
  }

  async end(): Promise<void> {
    this.#socket.resume();
    this.#socket.close(1000);
    await this.closed;
  }

  #receive(message: RawData, isBinary: boolean): void {
    const data = Array.isArray(message) ? Buffer.concat(message) : Buffer.from(message as Buffer);
    if (data.length === 0) return;
    this.#active = true;
    const number = this.#codec.base64 ? data[0]! - 0x30 : data[0]!;
    if (this.#codec.close && number === closeSignal) {
      this.#channels.get(data[1] ?? closeSignal)?.receive(null);
      return;
    }
    if (this.#codec.base64 === isBinary && data.length > 1) return;
    const rest = data.subarray(1);
    this.#channels.get(number)?.receive(this.#codec.base64 ? Buffer.from(rest.toString("latin1"), "base64") : rest);
    this.#flow();
  }

  #flow(): void {
    const full = [...this.#channels.values()].some((channel) => channel.waiting > mostWaiting);
    if (full && !this.#socket.isPaused) this.#socket.pause();
    if (!full && this.#socket.isPaused) this.#socket.resume();
  }

  #send(number: number, data: Buffer, done: (error?: Error | null) => void): void {
    this.#active = true;
    const message = this.#codec.base64
      ? `${number}${data.toString("base64")}`
      : Buffer.concat([Buffer.from([number]), data]);
    this.#socket.send(message, { binary: !this.#codec.base64 }, (error) => done(error));
  }

  #watchIdle(): void {
    this.#cancelIdle = this.#clock.after(defaultIdleMs, () => {
      if (!this.#active) return this.#socket.terminate();
      this.#active = false;
      this.#watchIdle();
    });
  }

  /** A peer that is gone is found out by writing to it, also while nothing is read from it. */
  #ping(): void {
    this.#cancelPing = this.#clock.after(pingMs, () => {
      if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
      this.#ping();
    });
  }
}

class Channel extends Duplex {
  readonly #link: { send(data: Buffer, done: (error?: Error | null) => void): void; room(): void };

  constructor(link: { send(data: Buffer, done: (error?: Error | null) => void): void; room(): void }) {
    super({ allowHalfOpen: true, highWaterMark: 64 * 1024, autoDestroy: false });
    this.#link = link;
    this.on("error", () => {}); // whoever uses it hears of it
  }

  get waiting(): number {
    return this.destroyed ? 0 : this.readableLength;
  }

  /** null: the client says no more on it. */
  receive(data: Buffer | null): void {
    if (!this.destroyed && !this.readableEnded && !this.#over) this.push(data);
    if (data === null) this.#over = true;
  }

  #over = false;

  override _read(): void {
    this.#link.room();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#link.send(chunk, done);
  }
}
