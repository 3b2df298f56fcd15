import type { FileHandle } from "node:fs/promises";
import type { Clock } from "../../../clock.ts";
import type { LogOptions } from "../../../kube/logOptions.ts";
import { LogFormatter, wantedStream } from "./formatter.ts";
import { listSegments, openSegment } from "./segments.ts";
import { sinceTimestamp } from "./since.ts";
import { TailSearch } from "./tail.ts";
import { LogWatch } from "./watch.ts";

/** Longer than any line that the shim writes, by far. */
const bufferSize = 128 * 1024;

/** Who knows whether more will be written. */
export interface LogSource {
  readonly over: boolean;
  /** Calls back once when it is over; the returned function cancels. */
  onOver(callback: () => void): () => void;
}

/**
 * The container's log as `kubectl logs` has it, from all the files that rotation has kept. Reads on only when the
 * consumer has taken what it got; ends quietly when the signal is aborted.
 */
export async function* readLogs(
  logDir: string,
  options: LogOptions,
  source: LogSource,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const formatter = new LogFormatter(options, sinceTimestamp(options, clock.now()));
  const watch = options.follow ? new LogWatch(logDir, clock) : undefined;
  const wake = () => watch?.notify();
  const forget = source.onOver(wake);
  signal.addEventListener("abort", wake);
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  let reader: SegmentReader | undefined;
  try {
    reader = await openStart(logDir, options);
    while (!signal.aborted) {
      // Both asked before the reading: what was written before is then read.
      const over = !watch || source.over;
      const next = listSegments(logDir).find((number) => number > (reader?.number ?? -1));
      for (;;) {
        const chunk = await reader?.read(formatter);
        if (signal.aborted || !chunk) break;
        if (left > 0 && chunk.length > 0) yield chunk.length > left ? chunk.subarray(0, left) : chunk;
        left -= chunk.length;
        if (left <= 0) return;
      }
      if (next !== undefined) {
        const file = await openSegment(logDir, next);
        await reader?.close();
        reader = file ? new SegmentReader(file, next) : undefined;
      } else if (over) {
        return;
      } else {
        await watch.changed();
      }
    }
  } finally {
    signal.removeEventListener("abort", wake);
    forget();
    watch?.close();
    await reader?.close();
  }
}

/** The place of the first line that is wanted; undefined where there is nothing yet. */
async function openStart(logDir: string, options: LogOptions): Promise<SegmentReader | undefined> {
  const numbers = listSegments(logDir);
  if (options.tailLines === undefined) return openReader(logDir, numbers[0]);
  const search = new TailSearch(options.tailLines, wantedStream(options.stream));
  for (const number of numbers.reverse()) {
    const file = await openSegment(logDir, number);
    if (!file) break;
    try {
      const offset = await search.search(file, (await file.stat()).size);
      if (offset !== undefined) return new SegmentReader(file, number, offset);
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
  }
  return openReader(logDir, listSegments(logDir)[0]);
}

async function openReader(logDir: string, number: number | undefined): Promise<SegmentReader | undefined> {
  const file = number === undefined ? undefined : await openSegment(logDir, number);
  return file && number !== undefined ? new SegmentReader(file, number) : undefined;
}

class SegmentReader {
  readonly number: number;
  readonly #file: FileHandle;
  readonly #bytes = Buffer.allocUnsafe(bufferSize);
  #position: number;
  /** Bytes of a line whose end has not been read yet, at the start of the buffer. */
  #held = 0;
  /** In a line that is longer than the buffer: none of ours. */
  #skipping = false;

  constructor(file: FileHandle, number: number, position = 0) {
    this.#file = file;
    this.number = number;
    this.#position = position;
  }

  /** The next formatted lines, possibly none; undefined at the end of what is written so far. */
  async read(formatter: LogFormatter): Promise<Buffer | undefined> {
    const bytes = this.#bytes;
    const { bytesRead } = await this.#file.read(bytes, this.#held, bytes.length - this.#held, this.#position);
    if (bytesRead === 0) return undefined;
    this.#position += bytesRead;
    let length = this.#held + bytesRead;
    if (this.#skipping) {
      const end = bytes.indexOf(0x0a);
      this.#skipping = end === -1 || end >= length;
      bytes.copyWithin(0, end + 1, length);
      length = this.#skipping ? 0 : length - end - 1;
    }
    const { written, read } = formatter.format(bytes, length);
    const output = Buffer.from(bytes.subarray(0, written));
    bytes.copyWithin(0, read, length);
    this.#held = length - read;
    if (this.#held === bytes.length) {
      this.#held = 0;
      this.#skipping = true;
    }
    return output;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
