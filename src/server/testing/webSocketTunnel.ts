import { randomBytes } from "node:crypto";
import { Duplex } from "node:stream";

/** A WebSocket client's bytes as a stream, for a subprotocol that the ws package does not take. For tests. */
export class WebSocketTunnel extends Duplex {
  readonly #socket: Duplex;
  #held = Buffer.alloc(0);

  constructor(socket: Duplex, head: Buffer) {
    super();
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("close", () => this.destroy());
    socket.on("error", () => {});
    this.#take(head);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const head = Buffer.alloc(8);
    head.writeUInt16BE(0x82fe);
    head.writeUInt16BE(chunk.length, 2); // of tests no longer than that
    const mask = randomBytes(4);
    mask.copy(head, 4);
    const masked = Buffer.from(chunk.map((byte, i) => byte ^ mask[i % 4]!));
    this.#socket.write(Buffer.concat([head, masked]), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #take(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    while (this.#held.length >= 2) {
      const [code, short] = [this.#held[0]! & 0x0f, this.#held[1]! & 0x7f];
      const size = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (this.#held.length < size) return;
      const length = short < 126 ? short : short === 126 ? this.#held.readUInt16BE(2) : this.#held.readUInt32BE(6);
      if (this.#held.length < size + length) return;
      if (code === 2 || code === 0) this.push(this.#held.subarray(size, size + length));
      this.#held = this.#held.subarray(size + length);
    }
  }
}
