/** One piece of a container's output, as the engine multiplexes both streams on one connection. */
export interface Frame {
  stream: "stdout" | "stderr";
  payload: Buffer;
}

const headerLength = 8;
/** No engine sends longer ones; what claims to be is no frame. */
const longestFrame = 16 * 1024 * 1024;

/** Takes multiplexed bytes in pieces of any size and gives frames. */
export class FrameParser {
  #held: Buffer = Buffer.alloc(0);

  /** @throws {Error} where the bytes are no frames */
  push(chunk: Buffer): Frame[] {
    let bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const frames: Frame[] = [];
    while (bytes.length >= headerLength) {
      const length = bytes.readUInt32BE(4);
      const kind = bytes[0] ?? 0;
      if (length > longestFrame || kind > 2) throw new Error("the container engine's output is not in frames");
      if (bytes.length < headerLength + length) break;
      frames.push({
        stream: kind === 2 ? "stderr" : "stdout",
        payload: bytes.subarray(headerLength, headerLength + length),
      });
      bytes = bytes.subarray(headerLength + length);
    }
    this.#held = bytes;
    return frames;
  }
}
