import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { TLSSocket } from "node:tls";
import { badRequest, bodyTooLarge } from "../status.ts";

/** kube-apiserver's limit of a request's body. */
export const bodyLimit = 3 * 1024 * 1024;

/** How far a slow reader of a stream may fall behind before it is cut off: it lists again and catches up. */
const streamLimit = 16 * 1024 * 1024;

/** One request and its answer, over HTTP/1.1 or HTTP/2 alike. */
export class Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  /** Aborted when the client is gone or the answer is complete. */
  readonly signal: AbortSignal;
  readonly #request: IncomingMessage | Http2ServerRequest;
  readonly #response: ServerResponse | Http2ServerResponse;
  readonly #warnings: string[] = [];
  #cut = false;

  constructor(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse) {
    this.#request = request;
    this.#response = response;
    this.method = request.method ?? "GET";
    const target = request.url ?? "/";
    const mark = target.indexOf("?");
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = new URLSearchParams(mark < 0 ? "" : target.slice(mark + 1));
    this.headers = request.headers;
    const gone = new AbortController();
    this.signal = gone.signal;
    (response as ServerResponse).once("close", () => gone.abort());
    (response as ServerResponse).on("error", () => gone.abort());
  }

  get socket(): TLSSocket {
    const { stream } = this.#request as Http2ServerRequest;
    // HTTP/2's own `socket` is a guard that throws on some members; the session's is the connection itself.
    return (stream?.session?.socket ?? this.#request.socket) as TLSSocket;
  }

  /** The answer has begun: nothing but its end is left to say. */
  get started(): boolean {
    return this.#response.headersSent;
  }

  /** The client learns of it in a `Warning` header, as kubectl prints them. */
  warn(text: string): void {
    const quoted = `299 - ${JSON.stringify(text)}`;
    if (!this.#warnings.includes(quoted)) this.#warnings.push(quoted);
  }

  /** @throws {StatusError} 413 beyond the limit */
  async body(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      for await (const chunk of this.#request as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length <= bodyLimit) chunks.push(chunk);
      }
    } catch (error) {
      throw badRequest(`the request's body could not be read: ${error instanceof Error ? error.message : error}`);
    }
    if (length > bodyLimit) throw bodyTooLarge(bodyLimit);
    return Buffer.concat(chunks, length);
  }

  send(
    code: number,
    body: string | Buffer,
    contentType = "application/json",
    headers: Record<string, string> = {},
  ): void {
    if (this.#response.headersSent || this.signal.aborted) return;
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    if (this.#cut) {
      this.#sendHalf(code, bytes, contentType);
      return;
    }
    this.#response.writeHead(code, { ...this.#head(contentType), "content-length": bytes.length, ...headers });
    if (this.method === "HEAD") this.#response.end();
    else (this.#response as ServerResponse).end(bytes);
  }

  /** Starts an answer whose end is open. */
  start(contentType: string, code = 200): void {
    this.#response.writeHead(code, this.#head(contentType));
    (this.#response as ServerResponse).flushHeaders?.();
    if (this.#cut) this.reset();
  }

  /** Adds to a started answer; a reader that is too far behind is cut off. @returns false: wait for `drained` */
  write(bytes: Uint8Array): boolean {
    if (this.signal.aborted) return true;
    const response = this.#response as ServerResponse;
    const flowing = response.write(bytes);
    if (!flowing && this.#pending() > streamLimit) this.reset();
    return flowing;
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#response.removeListener("drain", done);
        this.signal.removeEventListener("abort", done);
        resolve();
      };
      if (this.signal.aborted) return resolve();
      this.#response.on("drain", done);
      this.signal.addEventListener("abort", done);
    });
  }

  end(): void {
    if (!this.signal.aborted) this.#response.end();
  }

  /** A fault for tests: only half of the answer will be sent. */
  cutShort(): void {
    this.#cut = true;
  }

  #sendHalf(code: number, bytes: Buffer, contentType: string): void {
    this.#response.writeHead(code, { ...this.#head(contentType), "content-length": bytes.length });
    const half = bytes.subarray(0, bytes.length >> 1);
    (this.#response as ServerResponse).write(half, () => this.reset());
  }

  /** Ends the connection's stream in the middle, as a lost connection looks. */
  reset(): void {
    const { stream } = this.#request as Http2ServerRequest;
    if (stream) stream.close(2);
    else this.#request.socket.destroy();
  }

  #pending(): number {
    const { stream } = this.#response as Http2ServerResponse;
    return stream?.writableLength ?? (this.#response as ServerResponse).writableLength;
  }

  #head(contentType: string): Record<string, string | string[]> {
    return {
      "content-type": contentType,
      "cache-control": "no-cache, private",
      ...(this.#warnings.length === 0 ? {} : { warning: this.#warnings }),
    };
  }
}
