import { createInflate, type Inflate } from "node:zlib";
import { dictionary } from "./dictionary.ts";

/** Names in lower case; a name that comes twice keeps what came first. */
export type Headers = ReadonlyMap<string, string>;

const longestBlock = 64 * 1024;
const mostHeaders = 64;

/** The headers of one direction of a connection, whose blocks share a compression context: read them one after the other. */
export class HeaderReader {
  readonly #inflate: Inflate;
  #block: Buffer[] = [];
  #length = 0;
  #failed: Error | undefined;
  #wake: ((error?: Error) => void) | undefined;

  constructor() {
    this.#inflate = createInflate({ dictionary });
    this.#inflate.on("error", (error) => this.#fail(error));
    this.#inflate.on("data", (piece: Buffer) => {
      this.#length += piece.length;
      // A block of some KiB can be inflated to a thousand times its size.
      if (this.#length > longestBlock) this.#fail(new Error("a header block is too long"));
      else this.#block.push(piece);
    });
  }

  /** @throws where it is none; nothing can be read after that */
  async read(block: Buffer): Promise<Headers> {
    if (this.#failed) throw this.#failed;
    this.#block = [];
    this.#length = 0;
    await new Promise<void>((resolve, reject) => {
      this.#wake = (error) => (error ? reject(error) : resolve());
      this.#inflate.write(block, (error) => this.#wake?.(error ?? undefined));
    });
    return parseHeaders(Buffer.concat(this.#block));
  }

  close(): void {
    this.#inflate.destroy();
  }

  #fail(error: Error): void {
    this.#failed ??= error;
    this.#inflate.destroy();
    this.#wake?.(error);
  }
}

/** @throws where it is no whole block of headers */
export function parseHeaders(block: Buffer): Headers {
  const headers = new Map<string, string>();
  let at = 0;
  const number = () => {
    if (at + 4 > block.length) throw new Error("a header block ends too early");
    at += 4;
    return block.readUInt32BE(at - 4);
  };
  const text = () => {
    const length = number();
    if (length > block.length - at) throw new Error("a header block ends too early");
    at += length;
    return block.toString("latin1", at - length, at);
  };
  const count = number();
  if (count > mostHeaders) throw new Error(`a header block has ${count} headers`);
  for (let i = 0; i < count; i++) {
    const name = text().toLowerCase();
    const value = text();
    if (!headers.has(name)) headers.set(name, value);
  }
  return headers;
}

/** Count, then name and value, each with its length: what is compressed. */
export function formatHeaders(headers: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(headers);
  const parts: Buffer[] = [uint32(entries.length)];
  for (const [name, value] of entries) {
    for (const text of [Buffer.from(name.toLowerCase(), "latin1"), Buffer.from(value, "latin1")])
      parts.push(uint32(text.length), text);
  }
  return Buffer.concat(parts);
}

/**
 * Writes header blocks for the other side's context. They are short and few, so they are stored, not deflated. Each ends with an
 * empty stored block: Go's reader waits for that before it takes the next one.
 */
export class HeaderWriter {
  #begun = false;

  write(headers: Readonly<Record<string, string>>): Buffer {
    const data = formatHeaders(headers);
    if (data.length > 0xffff) throw new Error("headers are too long");
    const begin = this.#begun ? [] : [0x78, 0x01];
    this.#begun = true;
    const length = Buffer.alloc(5);
    length.writeUInt16LE(data.length, 1);
    length.writeUInt16LE(~data.length & 0xffff, 3);
    return Buffer.concat([Buffer.from(begin), length, data, Buffer.from([0, 0, 0, 0xff, 0xff])]);
  }
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}
