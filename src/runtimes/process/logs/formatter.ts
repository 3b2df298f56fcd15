import type { LogOptions } from "../../../kube/logOptions.ts";
import { type CriLine, parseCriLine } from "./cri.ts";

const lineBreak = 0x0a;

/**
 * Turns the bytes of a CRI log into what `kubectl logs` prints: the lines' text, partial lines joined, with their
 * timestamps if asked for. As the kubelet does it, a line that was joined has the timestamp of its first part.
 */
export class LogFormatter {
  readonly #timestamps: boolean;
  readonly #stream: CriLine["stream"] | undefined;
  readonly #since: Uint8Array | undefined;
  readonly #line: CriLine = { stream: "stdout", partial: false, text: 0 };
  #lineStart = true;

  /** @param since a timestamp in the CRI form: older lines are left out */
  constructor(options: Pick<LogOptions, "timestamps" | "stream">, since: string | undefined) {
    this.#timestamps = options.timestamps;
    this.#stream = wantedStream(options.stream);
    this.#since = since === undefined ? undefined : Buffer.from(since, "latin1");
  }

  /**
   * Formats the whole lines in the first `length` bytes, in place: what is printed of a line is never longer than the line.
   * @returns `written`: how many bytes at the start are now the output; `read`: how many bytes were whole lines
   */
  format(bytes: Buffer, length: number): { written: number; read: number } {
    let [written, read] = [0, 0];
    for (;;) {
      const end = bytes.indexOf(lineBreak, read);
      if (end === -1 || end >= length) return { written, read };
      written = this.#formatLine(bytes, read, end, written);
      read = end + 1;
    }
  }

  #formatLine(bytes: Buffer, start: number, end: number, to: number): number {
    const line = this.#line;
    if (!parseCriLine(bytes, start, end, line)) return to;
    if (this.#stream !== undefined && line.stream !== this.#stream) return to;
    if (this.#since !== undefined && isBefore(bytes, start, this.#since)) return to;
    let at = to;
    if (this.#timestamps && this.#lineStart) {
      const timestampEnd = bytes.indexOf(0x20, start) + 1;
      bytes.copyWithin(at, start, timestampEnd);
      at += timestampEnd - start;
    }
    this.#lineStart = !line.partial;
    const textEnd = line.partial ? end : end + 1;
    bytes.copyWithin(at, line.text, textEnd);
    return at + textEnd - line.text;
  }
}

export function wantedStream(stream: LogOptions["stream"]): CriLine["stream"] | undefined {
  if (stream === "Stdout") return "stdout";
  return stream === "Stderr" ? "stderr" : undefined;
}

/** Timestamps of one form and in UTC are in the order of their bytes. */
function isBefore(bytes: Uint8Array, start: number, timestamp: Uint8Array): boolean {
  for (let i = 0; i < timestamp.length; i++) {
    const difference = (bytes[start + i] ?? 0) - (timestamp[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
