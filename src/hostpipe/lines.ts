/** No line of a command is longer; what is, is no command but somebody's file. */
export const longestLine = 1024 * 1024;

export interface SplitLines {
  lines: string[];
  /** Why something that was written is not run. */
  dropped: string[];
}

/** Lines out of what comes from a pipe in pieces. A line is what ends with a line break: nothing else is whole. */
export class LineSplitter {
  #held: Buffer = Buffer.alloc(0);
  #skipping = false;

  push(chunk: Buffer): SplitLines {
    const result: SplitLines = { lines: [], dropped: [] };
    let rest = chunk;
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      const line = Buffer.concat([this.#held, rest.subarray(0, end)]);
      rest = rest.subarray(end + 1);
      this.#held = Buffer.alloc(0);
      if (this.#skipping) this.#skipping = false;
      else this.#take(line, result);
    }
    this.#held = this.#skipping ? this.#held : Buffer.concat([this.#held, rest]);
    if (this.#held.length > longestLine) {
      result.dropped.push(tooLong);
      this.#held = Buffer.alloc(0);
      this.#skipping = true;
    }
    return result;
  }

  /** All writers are gone: what has no line break is half of a command, of a writer that died. */
  end(): SplitLines {
    const length = this.#held.length;
    const dropped = length > 0 ? [`${length} bytes without a line break, whose writer is gone`] : [];
    this.#held = Buffer.alloc(0);
    this.#skipping = false;
    return { lines: [], dropped };
  }

  #take(line: Buffer, result: SplitLines): void {
    if (line.length > longestLine) result.dropped.push(tooLong);
    else if (line.includes(0)) result.dropped.push("a line with a NUL, which is no command");
    else if (line.toString().trim() !== "") result.lines.push(line.toString());
  }
}

const tooLong = `a line of more than ${longestLine} bytes`;
