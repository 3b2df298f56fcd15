import type { Frame } from "./frames.ts";

const [space, lineBreak] = [0x20, 0x0a];

/**
 * Turns the engine's log entries, each with its timestamp, into what `kubectl logs` prints. An entry without a line break
 * goes on in the next one of its stream: as the kubelet has it, a joined line has the timestamp of its first part.
 */
export class LogLines {
  readonly #timestamps: boolean;
  readonly #since: string | undefined;
  readonly #goesOn = { stdout: false, stderr: false };

  /** @param since a timestamp in the CRI form: older entries are left out */
  constructor(timestamps: boolean, since: string | undefined) {
    this.#timestamps = timestamps;
    this.#since = since;
  }

  take({ stream, payload }: Frame): Buffer {
    const end = payload.indexOf(space) + 1;
    const goesOn = this.#goesOn[stream];
    this.#goesOn[stream] = payload.at(-1) !== lineBreak;
    // An engine whose timestamps are whole seconds keeps the lines of a second that has begun: Z is behind every digit.
    if (this.#since !== undefined && payload.toString("latin1", 0, end - 1) < this.#since) return Buffer.alloc(0);
    return payload.subarray(this.#timestamps && !goesOn ? 0 : end);
  }
}

/** The last `count` lines; what stands behind the last line break counts as one. */
export function lastLines(text: Buffer, count: number): Buffer {
  let at = text.length;
  if (text.at(-1) === lineBreak) at--;
  for (let left = count; left > 0; left--) {
    if (at < 0) return text;
    at = at === 0 ? -1 : text.lastIndexOf(lineBreak, at - 1);
  }
  return count === 0 ? Buffer.alloc(0) : text.subarray(at + 1);
}
