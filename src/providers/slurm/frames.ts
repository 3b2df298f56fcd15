/** What a step passes on of a command: srun has words of its own for standard error, and for an exit code that is not 0. */
export type Frame = { kind: "out" | "err"; data: Buffer } | { kind: "exit"; code: number };

const kinds = ["out", "err", "exit"] as const;
const headerLength = 5;

/** A byte for the kind, the length in 4 bytes (big-endian), the data. */
export function encodeFrame(kind: "out" | "err", data: Uint8Array): Buffer {
  const header = Buffer.alloc(headerLength);
  header.writeUInt8(kinds.indexOf(kind));
  header.writeUInt32BE(data.length, 1);
  return Buffer.concat([header, data]);
}

export function encodeExit(code: number): Buffer {
  return Buffer.from([kinds.indexOf("exit"), 0, 0, 0, 1, code & 0xff]);
}

/** Frames out of what comes in pieces. */
export class FrameParser {
  #held: Buffer = Buffer.alloc(0);

  /** @throws where it is no frame that comes */
  push(chunk: Uint8Array): Frame[] {
    let rest: Buffer = Buffer.concat([this.#held, chunk]);
    const frames: Frame[] = [];
    while (rest.length >= headerLength) {
      const kind = kinds[rest.readUInt8()];
      const end = headerLength + rest.readUInt32BE(1);
      if (!kind) throw new Error("what the step sent is no answer of hostlet");
      if (rest.length < end) break;
      const data = rest.subarray(headerLength, end);
      frames.push(kind === "exit" ? { kind, code: data[0] ?? 0 } : { kind, data });
      rest = rest.subarray(end);
    }
    this.#held = rest;
    return frames;
  }
}
