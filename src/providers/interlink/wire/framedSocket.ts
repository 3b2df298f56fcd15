import type { Duplex } from "node:stream";
import { type Channel, channels, encodeFrame, FrameReader, longestPayload } from "./frames.ts";

export interface FrameHandler {
  /** @returns false: no more until `resume` */
  data(channel: number, payload: Buffer): boolean;
  control(message: Record<string, unknown>): void;
  /** The connection is over; once. */
  closed(error: Error | undefined): void;
}

/** Frames over a connection, with backpressure both ways. Nothing is read before `listen`. */
export class FramedSocket {
  readonly #socket: Duplex;
  readonly #reader = new FrameReader();
  #error: Error | undefined;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  listen(handler: FrameHandler): void {
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const { channel, payload } of this.#reader.push(chunk)) {
          if (channel === channels.control) handler.control(parseControl(payload));
          else if (!handler.data(channel, payload)) socket.pause();
        }
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("end", () => socket.end());
    socket.on("close", () => handler.closed(this.#error));
    socket.resume();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Resolves when the other side takes more; at once on a connection that is over. An empty payload ends the channel. */
  async send(channel: Channel, payload: Uint8Array): Promise<void> {
    let at = 0;
    do {
      if (this.#socket.destroyed || this.#socket.writableEnded) return;
      const more = this.#socket.write(encodeFrame(channel, payload.subarray(at, at + longestPayload)));
      at += longestPayload;
      if (!more) await this.#drained();
    } while (at < payload.length);
  }

  control(message: object): Promise<void> {
    return this.send(channels.control, Buffer.from(JSON.stringify(message)));
  }

  /** What was sent still arrives. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off("drain", done);
        this.#socket.off("close", done);
        resolve();
      };
      this.#socket.on("drain", done);
      this.#socket.on("close", done);
    });
  }
}

function parseControl(payload: Buffer): Record<string, unknown> {
  const value: unknown = JSON.parse(payload.toString() || "{}");
  if (value === null || typeof value !== "object") throw new TypeError("a control frame that holds no object");
  return value as Record<string, unknown>;
}
