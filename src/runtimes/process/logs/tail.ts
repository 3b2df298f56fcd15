import type { FileHandle } from "node:fs/promises";
import { type CriLine, longestHeader, parseCriLine } from "./cri.ts";

/** A file, or what stands for one. */
export type RandomAccess = Pick<FileHandle, "read">;

/**
 * Searches for the last `lines` lines from the end backwards, through as many files as it takes. A line is what a
 * reader sees as one: its parts (tag `P`) count with their end, and what a stream ends with counts as a line even if
 * it has no line break. Only the wanted stream's count.
 */
export class TailSearch {
  readonly #lines: number;
  readonly #stream: CriLine["stream"] | undefined;
  readonly #block: number;
  readonly #line: CriLine = { stream: "stdout", partial: false, text: 0 };
  /** Of which something was found: what has tag `P` there goes on behind it. */
  readonly #streams = new Set<CriLine["stream"]>();
  #seen = 0;

  constructor(lines: number, stream: CriLine["stream"] | undefined, block = 64 * 1024) {
    this.#lines = lines;
    this.#stream = stream;
    this.#block = block;
  }

  /** @returns where the wanted lines begin; undefined: at this file's start or in the file before it, search that next */
  async search(file: RandomAccess, size: number): Promise<number | undefined> {
    // Behind each block are the first bytes of the one after it: a header may lie across the border.
    const bytes = Buffer.alloc(this.#block + longestHeader);
    let overlap = 0;
    /** Where the line that begins next after the one looked at begins. */
    let next: number | undefined;
    for (let to = size; to > 0; ) {
      const from = Math.max(0, to - this.#block);
      const length = to - from;
      bytes.copyWithin(length, 0, overlap);
      await readFully(file, bytes, length, from);
      overlap = Math.min(longestHeader, length + overlap);
      const filled = length + overlap;
      let at = length - 1;
      while (at >= 0) {
        const lineBreak = bytes.lastIndexOf(0x0a, at);
        at = lineBreak - 1;
        // A line begins behind each line break, and at the start of the file.
        if (lineBreak === -1 && from > 0) break;
        const start = lineBreak + 1;
        if (next !== undefined && this.#countsLast(bytes, start, Math.min(filled, next - 1 - from))) return next;
        next = from + start;
        if (lineBreak === -1) break;
      }
      to = from;
    }
    return undefined;
  }

  /** Whether the line at [start, end) is one more than were wanted. */
  #countsLast(bytes: Buffer, start: number, end: number): boolean {
    const line = this.#line;
    if (!parseCriLine(bytes, start, end, line)) return false;
    if (this.#stream !== undefined && line.stream !== this.#stream) return false;
    const goesOn = line.partial && this.#streams.has(line.stream);
    this.#streams.add(line.stream);
    return !goesOn && ++this.#seen > this.#lines;
  }
}

async function readFully(file: RandomAccess, bytes: Buffer, length: number, position: number): Promise<void> {
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) throw new Error("the log file became shorter while it was read");
    filled += bytesRead;
  }
}
