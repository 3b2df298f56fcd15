import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import * as zlib from "node:zlib";
import { Parser, type ReadEntry } from "tar";

/** One entry of a tar file; its content has to be read, or `resume()`d, before the next one comes. */
export type TarEntry = ReadEntry;

/**
 * Reads a tar stream, entry by entry.
 * @param use resolves when it has taken what it wants of the entry
 * @throws what `use` throws; an error where the stream is no whole tar file
 */
export async function readTar(
  stream: AsyncIterable<Uint8Array>,
  use: (entry: TarEntry) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  let failure: unknown;
  let tail: Promise<void> = Promise.resolve();
  const parser = new Parser({ strict: true, brotli: false });
  const failed = (error: unknown) => {
    failure ??= error;
  };
  parser.on("error", failed);
  parser.on("warn", (_code: string, message: string | Error) => failed(message));
  parser.on("entry", (entry: ReadEntry) => {
    tail = tail
      .then(async () => {
        if (failure === undefined) await use(entry);
      })
      .catch(failed)
      .then(() => void entry.resume());
  });
  const ended = new Promise<void>((resolve) => {
    parser.on("end", resolve);
    parser.on("error", () => resolve());
  });
  for await (const chunk of stream) {
    signal?.throwIfAborted();
    if (failure !== undefined) break;
    if (!parser.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))) await drained(parser, tail);
  }
  if (failure === undefined) {
    parser.end();
    await ended;
    await tail;
  }
  if (failure !== undefined) throw failure;
}

/** Until the parser takes more: an entry is written to disk meanwhile. */
function drained(parser: Parser, tail: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    parser.once("drain", resolve);
    parser.once("error", () => resolve());
    void tail.then(() => setImmediate(resolve));
  });
}

const gzip = Buffer.from([0x1f, 0x8b]);
const zstd = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/**
 * The stream, decompressed where it is compressed (gzip; zstd where this Node has it).
 * @throws {Error} of an unknown compression, or a damaged stream
 */
export async function* decompressed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) return;
  const head = Buffer.from(first.value);
  const all = async function* () {
    yield head;
    for (;;) {
      const next = await iterator.next();
      if (next.done) return;
      yield next.value;
    }
  };
  try {
    if (head.subarray(0, 2).equals(gzip)) yield* through(all(), zlib.createGunzip());
    else if (head.subarray(0, 4).equals(zstd)) yield* through(all(), zstdStream());
    else yield* all();
  } finally {
    await iterator.return?.();
  }
}

async function* through(source: AsyncIterable<Uint8Array>, unpack: zlib.Gunzip): AsyncGenerator<Uint8Array> {
  const { pipeline } = await import("node:stream/promises");
  const piped = pipeline(source, unpack);
  piped.catch(() => {}); // the iteration below throws it
  for await (const chunk of unpack as Readable) yield chunk as Uint8Array;
  await piped;
}

function zstdStream(): zlib.Gunzip {
  const { createZstdDecompress } = zlib as unknown as { createZstdDecompress?: () => zlib.Gunzip };
  if (!createZstdDecompress) throw new Error("a layer is compressed with zstd, which needs Node 22.15 or newer");
  return createZstdDecompress();
}

/** Entries of a tar file on disk, compressed or not. */
export function readTarFile(
  path: string,
  use: (entry: TarEntry) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  return readTar(decompressed(createReadStream(path)), use, signal);
}

/** The whole content of a small entry. @throws where it is larger */
export async function textOf(entry: TarEntry, most = 4 * 2 ** 20): Promise<string> {
  if (entry.size > most) throw new Error(`${entry.path} is larger than the ${most} bytes that such a file has at most`);
  const chunks: Buffer[] = [];
  for await (const chunk of entry) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
