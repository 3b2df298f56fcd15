import type { Duplex } from "node:stream";
import { constants, createDeflate, type Deflate } from "node:zlib";
import { dictionary } from "../streaming/spdy/dictionary.ts";
import { controlFrame, controlType, dataHead, FrameReader, flagFin, numbers } from "../streaming/spdy/frames.ts";
import { formatHeaders, HeaderReader } from "../streaming/spdy/headers.ts";

/** What has come for one stream. */
export class ClientStream {
  readonly id: number;
  replied = false;
  data = Buffer.alloc(0);
  fin = false;
  /** The status of a RST_STREAM. */
  reset: number | undefined;
  credit = 0;

  constructor(id: number) {
    this.id = id;
  }

  get text(): string {
    return this.data.toString();
  }
}

/** The client's side of SPDY/3.1, as Go's is: deflated headers of one context, no heed of windows. For tests. */
export class SpdyClient {
  readonly streams = new Map<number, ClientStream>();
  readonly controls: { type: number; payload: Buffer }[] = [];
  readonly closed: Promise<void>;
  readonly #socket: Duplex;
  readonly #deflate: Deflate;
  readonly #headers = new HeaderReader();
  #next = 1;
  #wake: (() => void)[] = [];

  constructor(socket: Duplex, head: Buffer = Buffer.alloc(0)) {
    this.#socket = socket;
    this.#deflate = createDeflate({ dictionary });
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => socket.once("close", resolve)).then(() => this.#changed());
    void this.#run(head);
  }

  /** Frames, whole or not, as they are given. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Opens streams one after the other. @param id another one than the next */
  async open(headers: Record<string, string>, id = this.#next): Promise<ClientStream> {
    this.#next = id + 2;
    const stream = this.streams.get(id) ?? new ClientStream(id);
    this.streams.set(id, stream);
    const block = await this.compress(formatHeaders(headers));
    const payload = Buffer.concat([numbers(id, 0), Buffer.from([0, 0]), block]);
    this.write(controlFrame(controlType.synStream, payload));
    return stream;
  }

  compress(data: Buffer): Promise<Buffer> {
    const chunks: Buffer[] = [];
    const take = (chunk: Buffer) => chunks.push(chunk);
    this.#deflate.on("data", take);
    this.#deflate.write(data);
    return new Promise((resolve) => {
      this.#deflate.flush(constants.Z_SYNC_FLUSH, () => {
        this.#deflate.off("data", take);
        resolve(Buffer.concat(chunks));
      });
    });
  }

  send(stream: ClientStream, data: Uint8Array | string, fin = false): void {
    const bytes = Buffer.from(data as string);
    this.write(Buffer.concat([dataHead(stream.id, bytes.length, fin ? flagFin : 0), bytes]));
  }

  pause(): void {
    this.#socket.pause();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Resolves once it is so. @throws where the connection ends before */
  async until(holds: () => boolean, what = "what was waited for"): Promise<void> {
    while (!holds()) {
      if (this.#socket.destroyed) throw new Error(`the connection ended before ${what}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  async #run(head: Buffer): Promise<void> {
    const reader = new FrameReader();
    const take = async (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) {
        if (frame.kind === "control") await this.#control(frame.type, frame.payload);
        else this.#data(frame.stream, frame.data, frame.fin);
        this.#changed();
      }
    };
    try {
      await take(head);
      for await (const chunk of this.#socket) await take(chunk);
    } catch {
      // The end of the connection is what a test looks at.
    }
  }

  #data(id: number, data: Buffer, fin: boolean): void {
    const stream = this.streams.get(id);
    if (!stream) return;
    stream.data = Buffer.concat([stream.data, data]);
    stream.fin ||= fin;
  }

  async #control(type: number, payload: Buffer): Promise<void> {
    this.controls.push({ type, payload });
    const stream = this.streams.get(payload.length >= 4 ? payload.readUInt32BE(0) : 0);
    if (type === controlType.synReply) {
      await this.#headers.read(payload.subarray(4));
      if (stream) stream.replied = true;
    }
    if (type === controlType.rstStream && stream) stream.reset = payload.readUInt32BE(4);
    if (type === controlType.windowUpdate && stream) stream.credit += payload.readUInt32BE(4);
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
