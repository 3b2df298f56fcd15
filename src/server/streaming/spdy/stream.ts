import { Duplex } from "node:stream";
import type { Headers } from "./headers.ts";

/** What a stream asks of its connection. */
export interface StreamLink {
  send(data: Buffer, fin: boolean, done: () => void): void;
  /** The reader has taken so many bytes. */
  credit(bytes: number): void;
  /** It is over: in good order, or `broken`, which the other side has to be told. */
  left(broken: boolean): void;
}

/** How much may wait for a reader; then nothing more is read from the whole connection. */
const mostWaiting = 256 * 1024;

/** One stream of a SPDY connection, opened by the client. Each direction ends for itself. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: Headers;
  readonly #link: StreamLink;
  #owed = 0;
  #reset = false;
  #roomFor: (() => void)[] = [];

  constructor(id: number, headers: Headers, link: StreamLink) {
    super({ allowHalfOpen: true, highWaterMark: 64 * 1024 });
    this.id = id;
    this.headers = headers;
    this.#link = link;
    this.on("error", () => {}); // whoever uses it hears of it
  }

  /** Resolves when there is room for more. */
  async receive(data: Buffer, fin: boolean): Promise<void> {
    if (!this.destroyed && !this.readableEnded) {
      this.#owed += data.length;
      if (data.length > 0) this.push(data);
      if (fin) this.push(null);
    }
    if (this.destroyed || this.readableLength < mostWaiting) return;
    await new Promise<void>((resolve) => this.#roomFor.push(resolve));
  }

  /** The other side, or the connection, is gone. */
  reset(error?: Error): void {
    this.#reset = true;
    this.destroy(error);
  }

  override _read(): void {
    if (this.#owed > 0) this.#link.credit(this.#owed);
    this.#owed = 0;
    if (this.readableLength < mostWaiting) this.#makeRoom();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#link.send(chunk, false, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#link.send(Buffer.alloc(0), true, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#makeRoom();
    this.#link.left(!this.#reset && (!this.readableEnded || !this.writableFinished));
    done(error);
  }

  #makeRoom(): void {
    for (const resolve of this.#roomFor.splice(0)) resolve();
  }
}
