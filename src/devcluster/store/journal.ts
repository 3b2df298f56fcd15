import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Stored } from "../objects.ts";
import { Entry } from "./entry.ts";

/** One line of the file: an object as it was written, a deletion, or revisions set aside. */
interface Line {
  /** The resource's id; absent where only `revision` is meant. */
  resource?: string;
  key?: string;
  object?: Stored;
  revision: number;
}

export interface LiveEntry {
  resource: string;
  entry: Entry;
}

export interface Recovered {
  /** Above every revision that was ever handed out. */
  revision: number;
  objects: LiveEntry[];
}

/**
 * Not everything is journaled, but all of it takes revisions: blocks of them are set aside beforehand, so that none is
 * handed out twice after a kill -9.
 */
const block = 10_000;

/** The file is written anew when it is this many times as long as it was then, and longer than the least. */
const growth = 4;
const leastBytes = 4 * 1024 * 1024;
/** Written at a time meanwhile; between two of them others have their turn. */
const chunkLength = 256 * 1024;

/** What the store holds, as an append-only file: a write is in it before anybody hears of it. */
export class Journal {
  readonly #file: string;
  readonly #least: number;
  #fd: number;
  #reserved: number;
  #bytes: number;
  /** Length at which it is written anew. */
  #limit: number;
  /** What is appended while it is written anew: belongs into the new file, too. */
  #tail: string[] | undefined;
  #compacting: Promise<void> | undefined;
  #live: () => LiveEntry[] = () => [];

  private constructor(file: string, fd: number, reserved: number, bytes: number, least: number) {
    this.#file = file;
    this.#fd = fd;
    this.#reserved = reserved;
    this.#bytes = bytes;
    this.#least = least;
    this.#limit = Math.max(least, bytes * growth);
  }

  /**
   * Reads the directory's journal, writes it anew without what was overwritten, and goes on with that file.
   * @param least bytes below which it is let grow
   */
  static open(dir: string, least = leastBytes): { journal: Journal; recovered: Recovered } {
    const file = join(dir, "journal.jsonl");
    const recovered = recover(read(file));
    const reserved = recovered.revision + block;
    const next = `${file}.next`;
    const fd = openSync(next, "w", 0o600);
    const lines = [reservation(reserved), ...recovered.objects.map(({ resource, entry }) => written(resource, entry))];
    const bytes = writeAll(fd, lines.join(""));
    fsyncSync(fd);
    renameSync(next, file);
    return { journal: new Journal(file, fd, reserved, bytes, least), recovered };
  }

  /** @param live everything that is journaled, as it is at the moment; asked when the file has grown too long */
  compactFrom(live: () => LiveEntry[]): void {
    this.#live = live;
  }

  put(resource: string, entry: Entry): void {
    this.#append(entry.revision, written(resource, entry));
  }

  remove(resource: string, entry: Entry): void {
    this.#append(entry.revision, `${JSON.stringify({ resource, key: entry.key, revision: entry.revision })}\n`);
  }

  /** Called with every revision that is handed out for something that isn't journaled. */
  reserve(revision: number): void {
    if (revision >= this.#reserved) this.#append(revision, "");
  }

  /** Nothing is written from now on; resolves when nothing is being written any more. Idempotent. */
  async close(): Promise<void> {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    await this.#compacting;
  }

  #append(revision: number, text: string): void {
    if (this.#fd < 0) return;
    let line = text;
    if (revision >= this.#reserved) {
      this.#reserved = revision + block;
      line = `${reservation(this.#reserved)}${text}`;
    }
    this.#bytes += writeAll(this.#fd, line);
    this.#tail?.push(line);
    if (this.#bytes > this.#limit) this.#compacting ??= this.#compact();
  }

  /** Beside the writes: the old file stays whole and in use until the new one holds all that it does. */
  async #compact(): Promise<void> {
    const next = `${this.#file}.next`;
    // The store has the write that is under way only after this turn.
    await Promise.resolve();
    this.#tail = [];
    const live = this.#live();
    let handle: FileHandle | undefined;
    try {
      handle = await open(next, "w", 0o600);
      let bytes = 0;
      let chunk = reservation(this.#reserved);
      for (const { resource, entry } of live) {
        chunk += written(resource, entry);
        if (chunk.length < chunkLength) continue;
        bytes += await append(handle, chunk);
        chunk = "";
      }
      bytes += await append(handle, chunk);
      await handle.sync();
      if (this.#fd >= 0) this.#switchTo(next, bytes);
    } catch {
      // A full disk, say: the file in use is whole. Tried again when it has grown as much once more.
      this.#limit = this.#bytes * growth;
    } finally {
      this.#tail = undefined;
      await handle?.close().catch(() => {});
      await rm(next, { force: true }).catch(() => {}); // the next one overwrites it
      this.#compacting = undefined;
    }
  }

  /** In one turn of the event loop: no write can come between. */
  #switchTo(next: string, before: number): void {
    const fd = openSync(next, "a");
    let bytes = before;
    try {
      bytes += writeAll(fd, (this.#tail ?? []).join(""));
      renameSync(next, this.#file);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(this.#fd);
    this.#fd = fd;
    this.#bytes = bytes;
    this.#limit = Math.max(this.#least, bytes * growth);
  }
}

function reservation(revision: number): string {
  return `${JSON.stringify({ revision } satisfies Line)}\n`;
}

function written(resource: string, entry: Entry): string {
  const head = JSON.stringify({ resource, key: entry.key, revision: entry.revision } satisfies Line);
  return `${head.slice(0, -1)},"object":${entry.json}}\n`;
}

async function append(handle: FileHandle, text: string): Promise<number> {
  await handle.appendFile(text);
  return Buffer.byteLength(text);
}

/** @returns how many bytes they were */
function writeAll(fd: number, text: string): number {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  return bytes.length;
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

function recover(text: string): Recovered {
  const objects = new Map<string, LiveEntry>();
  let revision = 1;
  // What follows the last newline is a line that a kill cut in half.
  for (const line of text.slice(0, text.lastIndexOf("\n") + 1).split("\n")) {
    if (line === "") continue;
    const record = JSON.parse(line) as Line;
    revision = Math.max(revision, record.revision);
    if (record.resource === undefined || record.key === undefined) continue;
    const id = `${record.resource} ${record.key}`;
    if (record.object) {
      objects.set(id, { resource: record.resource, entry: new Entry(record.key, record.revision, record.object) });
    } else objects.delete(id);
  }
  return { revision, objects: [...objects.values()] };
}
