/** One line of a CRI log: `2026-01-02T03:04:05.123456789Z stdout F text`. */
export interface CriLine {
  stream: "stdout" | "stderr";
  /** More of the same line follows in another entry of this stream (tag `P`). */
  partial: boolean;
  /** Where the text begins. */
  text: number;
}

/** The longest header that is looked for: a timestamp with any offset, the stream and a few tags. */
export const longestHeader = 64;

const space = 0x20;

/**
 * Reads the header of the line at [start, end) of `bytes`, without the line break, into `line`.
 * @returns false for what is not a line of a CRI log; `line` is then undefined in value
 */
export function parseCriLine(bytes: Uint8Array, start: number, end: number, line: CriLine): boolean {
  const stop = Math.min(end, start + longestHeader);
  if (bytes[start + 10] !== 0x54 /* T */) return false;
  const stream = bytes.indexOf(space, start + 11) + 1;
  if (stream === 0 || stream + 8 > stop) return false;
  if (bytes[stream] !== 0x73 || bytes[stream + 1] !== 0x74 || bytes[stream + 2] !== 0x64) return false; // "std"
  const letter = bytes[stream + 3];
  if (bytes[stream + 6] !== space || (letter !== 0x6f && letter !== 0x65)) return false;
  const tag = bytes[stream + 7];
  if (tag !== 0x50 /* P */ && tag !== 0x46 /* F */) return false;
  let text = stream + 8;
  while (text < stop && bytes[text] !== space) text++;
  line.stream = letter === 0x6f ? "stdout" : "stderr";
  line.partial = tag === 0x50;
  line.text = Math.min(text + 1, end);
  return true;
}

/** A whole number of milliseconds in the form that CRI logs have. */
export function criTimestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -1)}000000Z`;
}
