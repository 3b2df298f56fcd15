/** SPDY/3.1's frames (draft-mbelshe-httpbis-spdy-00, 2.2), as far as a server of streams needs them. */
export const controlType = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

export const flagFin = 1;

export const resetStatus = {
  protocolError: 1,
  refusedStream: 3,
  cancel: 5,
  flowControlError: 7,
} as const;

export type Frame =
  | { kind: "control"; type: number; flags: number; payload: Buffer }
  /** A piece of a data frame; `fin` with the last piece of a stream's last frame. */
  | { kind: "data"; stream: number; data: Buffer; fin: boolean };

const longestControl = 64 * 1024;

/** Takes frames out of what comes in whatever pieces; data is passed on as it comes, so that nothing long is held. */
export class FrameReader {
  #held: Buffer = Buffer.alloc(0);
  #data: { stream: number; left: number; fin: boolean } | undefined;

  /** @throws where it is not SPDY/3.1 */
  *push(chunk: Buffer): Generator<Frame> {
    let rest = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = Buffer.alloc(0);
    while (rest.length > 0) {
      if (this.#data) {
        const { stream, left, fin } = this.#data;
        const data = rest.subarray(0, left);
        rest = rest.subarray(data.length);
        const over = data.length === left;
        this.#data = over ? undefined : { stream, left: left - data.length, fin };
        yield { kind: "data", stream, data, fin: over && fin };
        continue;
      }
      if (rest.length < 8) break;
      const first = rest.readUInt32BE(0);
      const flags = rest[4]!;
      const length = rest.readUIntBE(5, 3);
      if (first < 0x80000000) {
        rest = rest.subarray(8);
        this.#data = { stream: first, left: length, fin: (flags & flagFin) !== 0 };
        if (length > 0) continue;
        this.#data = undefined;
        yield { kind: "data", stream: first, data: rest.subarray(0, 0), fin: (flags & flagFin) !== 0 };
        continue;
      }
      if (((first >>> 16) & 0x7fff) !== 3) throw new Error(`a control frame of version ${(first >>> 16) & 0x7fff}`);
      if (length > longestControl) throw new Error(`a control frame has ${length} bytes`);
      if (rest.length < 8 + length) break;
      const payload = rest.subarray(8, 8 + length);
      rest = rest.subarray(8 + length);
      yield { kind: "control", type: first & 0xffff, flags, payload };
    }
    this.#held = rest;
  }
}

export function controlFrame(type: number, payload: Buffer, flags = 0): Buffer {
  const frame = Buffer.alloc(8 + payload.length);
  frame.writeUInt32BE((0x80030000 | type) >>> 0, 0);
  frame.writeUInt32BE(((flags << 24) | payload.length) >>> 0, 4);
  payload.copy(frame, 8);
  return frame;
}

export function dataHead(stream: number, length: number, flags = 0): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(stream, 0);
  head.writeUInt32BE(((flags << 24) | length) >>> 0, 4);
  return head;
}

export function numbers(...values: number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) buffer.writeUInt32BE(value, 4 * i);
  return buffer;
}
