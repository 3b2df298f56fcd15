/**
 * Several streams over one connection: a byte that names the stream, four of the payload's length (big endian), the payload.
 * A payload of no bytes ends its stream. Backpressure is the connection's.
 */
export const channels = { control: 0, stdin: 1, stdout: 2, stderr: 3 } as const;
export type Channel = (typeof channels)[keyof typeof channels];

export interface Frame {
  channel: number;
  payload: Buffer;
}

/** Larger payloads are cut: no stream keeps the others waiting for long. */
export const longestPayload = 64 * 1024;
const header = 5;

export function encodeFrame(channel: Channel, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(header + payload.length);
  frame.writeUInt8(channel, 0);
  frame.writeUInt32BE(payload.length, 1);
  frame.set(payload, header);
  return frame;
}

/** Takes bytes as they come, gives whole frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** @throws {RangeError} a length that no frame has: the other side speaks something else */
  push(chunk: Buffer): Frame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    while (this.#rest.length >= header) {
      const length = this.#rest.readUInt32BE(1);
      if (length > longestPayload)
        throw new RangeError(`a frame of ${length} bytes; at most ${longestPayload} are sent`);
      if (this.#rest.length < header + length) break;
      frames.push({ channel: this.#rest.readUInt8(0), payload: this.#rest.subarray(header, header + length) });
      this.#rest = this.#rest.subarray(header + length);
    }
    return frames;
  }
}
