/** What is read of a body, at most; the kubelet's limit. */
export const bodyLimit = 10 * 1024;
const headLimit = 64 * 1024;

export interface HttpResponse {
  status: number;
  location: string | undefined;
  /** Its first 10 KiB. */
  body: string;
}

/**
 * Reads one HTTP/1.x answer to a GET with `Connection: close`, and no more of it than a probe needs. node:http does it
 * too, for twice the CPU of a whole probe (record 80).
 */
export class HttpResponseReader {
  #rest: Buffer = Buffer.alloc(0);
  #head: { status: number; location: string | undefined; length: number | undefined; chunked: boolean } | undefined;
  #body: Buffer = Buffer.alloc(0);
  #done = false;

  /**
   * @returns the answer, as soon as enough of it is here
   * @throws {Error} where this is not HTTP
   */
  push(chunk: Buffer): HttpResponse | undefined {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (!this.#head) if (!this.#readHead()) return undefined;
    if (this.#head.chunked) this.#readChunks();
    else this.#takeBody((this.#head.length ?? Number.POSITIVE_INFINITY) - this.#body.length);
    if (this.#head.length !== undefined && this.#body.length >= this.#head.length) this.#done = true;
    return this.#done || this.#body.length >= bodyLimit ? this.#response() : undefined;
  }

  /**
   * The server has closed the connection.
   * @throws {Error} where that was too early
   */
  end(): HttpResponse {
    if (!this.#head) throw new Error("EOF");
    if (this.#head.chunked || this.#head.length !== undefined) throw new Error("unexpected EOF");
    return this.#response();
  }

  #response(): HttpResponse {
    const { status, location } = this.#head!;
    return { status, location, body: this.#body.subarray(0, bodyLimit).toString() };
  }

  /** @returns whether there may be more to read: an interim answer was passed over, or the head is complete */
  #readHead(): boolean {
    const end = this.#rest.indexOf("\r\n\r\n");
    if (end < 0) {
      const start = this.#rest.toString("latin1", 0, 5);
      if (!"HTTP/".startsWith(start)) throw malformed(this.#rest);
      if (this.#rest.length > headLimit) throw new Error("net/http: server response headers exceeded 65536 bytes");
      return false;
    }
    const [first = "", ...lines] = this.#rest.toString("latin1", 0, end).split("\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first)?.[1]);
    if (Number.isNaN(status)) throw malformed(this.#rest);
    this.#rest = this.#rest.subarray(end + 4);
    if (status < 200) return true;
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    const chunked = headers.get("transfer-encoding")?.toLowerCase().endsWith("chunked") ?? false;
    const length = Number(headers.get("content-length") ?? Number.NaN);
    const bodiless = status === 204 || status === 304;
    this.#head = {
      status,
      location: headers.get("location"),
      chunked: chunked && !bodiless,
      length: bodiless ? 0 : chunked || !Number.isInteger(length) || length < 0 ? undefined : length,
    };
    return true;
  }

  #readChunks(): void {
    while (!this.#done && this.#body.length < bodyLimit) {
      const end = this.#rest.indexOf("\r\n");
      if (end < 0) {
        if (this.#rest.length > headLimit) throw new Error("malformed chunked encoding");
        return;
      }
      const size = /^[0-9a-fA-F]{1,8}(?=$|[; \t])/.exec(this.#rest.toString("latin1", 0, end))?.[0];
      if (size === undefined) throw new Error("malformed chunked encoding");
      const length = Number.parseInt(size, 16);
      if (length === 0) {
        this.#done = true;
        return;
      }
      // A chunk longer than what is read of the body needs not be here in full.
      const here = this.#rest.length - (end + 2);
      if (here < length + 2 && this.#body.length + Math.min(here, length) < bodyLimit) return;
      this.#rest = this.#rest.subarray(end + 2);
      this.#takeBody(length);
      this.#rest = this.#rest.subarray(2);
    }
  }

  #takeBody(length: number): void {
    const part = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    if (this.#body.length < bodyLimit) this.#body = this.#body.length === 0 ? part : Buffer.concat([this.#body, part]);
  }
}

function malformed(data: Buffer): Error {
  return new Error(`malformed HTTP response ${JSON.stringify(data.toString("latin1", 0, 40))}`);
}
