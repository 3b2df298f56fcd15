/**
 * The frames in which a shim carries streams over one connection (shim/README.md): type (1 byte), length (4 bytes,
 * big-endian), data.
 */
export const frameType = {
  /** To the shim; of length 0: closed. */
  stdin: 0,
  /** From the shim; of length 0, of an exec: at its end. */
  stdout: 1,
  stderr: 2,
  /** From the shim: a line, how it ended. */
  news: 3,
  /** `ROWS COLS` */
  resize: 4,
  /** `STREAM BYTES`: how much more of a stream may be sent. */
  room: 5,
} as const;

/** What the shim takes in one frame is a little less than twice this. */
export const longestData = 32 * 1024;

export function encodeFrame(type: number, data: Uint8Array | string): Buffer {
  const length = typeof data === "string" ? Buffer.byteLength(data) : data.length;
  const frame = Buffer.allocUnsafe(5 + length);
  frame[0] = type;
  frame.writeUInt32BE(length, 1);
  if (typeof data === "string") frame.write(data, 5);
  else frame.set(data, 5);
  return frame;
}

/**
 * Takes frames out of what comes in whatever pieces. Output is passed on as it comes, in pieces of its own, so that none of it
 * is copied or held; an empty piece is a frame of length 0. Everything else is passed on whole.
 */
export class FrameReader {
  readonly #take: (type: number, data: Buffer) => void;
  #held: Buffer = Buffer.alloc(0);
  /** Of a frame of output that has begun. */
  #type = 0;
  #left = 0;

  constructor(take: (type: number, data: Buffer) => void) {
    this.#take = take;
  }

  /** @throws where it is no frame of a shim's */
  push(chunk: Buffer): void {
    let data = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    while (data.length > 0) {
      if (this.#left > 0) {
        const piece = data.subarray(0, this.#left);
        this.#left -= piece.length;
        data = data.subarray(piece.length);
        this.#take(this.#type, piece);
        continue;
      }
      if (data.length < 5) break;
      const type = data[0]!;
      const length = data.readUInt32BE(1);
      if (type === frameType.stdout || type === frameType.stderr) {
        data = data.subarray(5);
        this.#type = type;
        this.#left = length;
        if (length === 0) this.#take(type, data.subarray(0, 0));
        continue;
      }
      if (length > 2 * longestData) throw new Error(`a frame of type ${type} has ${length} bytes`);
      if (data.length < 5 + length) break;
      this.#take(type, data.subarray(5, 5 + length));
      data = data.subarray(5 + length);
    }
    this.#held = data;
  }
}
