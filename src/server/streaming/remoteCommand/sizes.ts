export interface Size {
  rows: number;
  columns: number;
}

/** Takes terminal sizes out of the text of a resize stream, in whatever pieces it comes; what is no size is skipped. */
export class SizeReader {
  #text = "";

  push(chunk: Uint8Array): Size[] {
    this.#text += Buffer.from(chunk).toString("latin1");
    const sizes: Size[] = [];
    for (let end = this.#text.indexOf("}"); end >= 0; end = this.#text.indexOf("}")) {
      const size = parse(this.#text.slice(0, end + 1));
      if (size) sizes.push(size);
      this.#text = this.#text.slice(end + 1);
    }
    // A size has some dozens of bytes: more without an end is nothing.
    if (this.#text.length > 1024) this.#text = "";
    return sizes;
  }
}

function parse(text: string): Size | undefined {
  try {
    const { Width, Height } = JSON.parse(text) as { Width?: unknown; Height?: unknown };
    return isSize(Width) && isSize(Height) ? { rows: Height, columns: Width } : undefined;
  } catch {
    return undefined;
  }
}

function isSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff;
}
