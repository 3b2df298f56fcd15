/**
 * The lines of one container's log, over all requests that it takes to read it: asked for with timestamps, so that what
 * a second request brings again is left out.
 */
export class LogLines {
  #rest = Buffer.alloc(0);
  /** The timestamp of the last line taken, and how many lines had it: a batch of lines may share one. */
  #last = "";
  #atLast = 0;
  /** How many lines of `#last` this request has brought. */
  #seenAtLast = 0;

  /** A request begins, and brings the log from its start. */
  restart(): void {
    this.#rest = Buffer.alloc(0);
    this.#seenAtLast = 0;
  }

  /** The new lines that this chunk completes, without timestamp, with their newline. */
  push(chunk: Uint8Array): Buffer[] {
    const data = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : Buffer.from(chunk);
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, start)) {
      const line = this.#take(data.subarray(start, end + 1));
      if (line) lines.push(line);
      start = end + 1;
    }
    this.#rest = data.subarray(start);
    return lines;
  }

  /** The unfinished line at the end, given a newline. */
  end(): Buffer[] {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    const line = rest.length > 0 ? this.#take(Buffer.concat([rest, Buffer.from("\n")])) : undefined;
    return line ? [line] : [];
  }

  #take(line: Buffer): Buffer | undefined {
    const space = line.indexOf(32);
    const time = line.toString("latin1", 0, Math.max(space, 0));
    // What is no timestamp is a message of the server's own, such as one about a rotated file.
    if (!/^\d{4}-\d\d-\d\dT/.test(time)) return line;
    if (time < this.#last) return undefined;
    if (time === this.#last) {
      this.#seenAtLast++;
      if (this.#seenAtLast <= this.#atLast) return undefined;
      this.#atLast = this.#seenAtLast;
    } else {
      this.#last = time;
      this.#atLast = 1;
      this.#seenAtLast = 1;
    }
    return line.subarray(space + 1);
  }
}
