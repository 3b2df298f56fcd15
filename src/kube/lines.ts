/**
 * Cuts a byte stream into lines. A line may come in any number of chunks and may be several megabytes long; each byte
 * is looked at once.
 */
export class LineSplitter {
  #parts: Buffer[] = [];

  /** The lines that this chunk completes, without their newline; blank ones are left out. */
  *push(chunk: Buffer): Generator<Buffer> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(10, start);
      if (end < 0) break;
      const line = this.#complete(chunk.subarray(start, end));
      start = end + 1;
      if (line.length > 0) yield line;
    }
    if (start < chunk.length) this.#parts.push(chunk.subarray(start));
  }

  /** Whether bytes of an unfinished line are held. */
  get partial(): boolean {
    return this.#parts.length > 0;
  }

  #complete(last: Buffer): Buffer {
    if (this.#parts.length === 0) return last;
    this.#parts.push(last);
    const line = Buffer.concat(this.#parts);
    this.#parts = [];
    return line;
  }
}
