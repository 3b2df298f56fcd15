import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { hopHeader, hopVersion } from "../../providers/interlink/wire/extension.ts";

/** What the client is answered, in words. */
export class HttpError extends Error {
  override name = "HttpError";
  readonly status: number;

  constructor(status: number, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.status = status;
  }
}

/** ConfigMaps and Secrets are of 1 MiB at most, and come as text; a pod names a few. */
export const largestBody = 32 * 2 ** 20;

/** One request and its answer. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborts when the client goes away or the server stops. */
  readonly signal: AbortSignal;

  constructor(request: IncomingMessage, response: ServerResponse, signal: AbortSignal) {
    this.request = request;
    this.response = response;
    this.signal = signal;
  }

  /** The other side of this hop is hostlet. */
  get ours(): boolean {
    return isOurs(this.request);
  }

  /** interLink's name of the call, to follow it through the logs of all programs. */
  get session(): string | undefined {
    const value = this.request.headers["interlink-http-session"];
    return typeof value === "string" ? value : undefined;
  }

  /** The whole body; also of a GET. @throws {HttpError} 413, 400 */
  async body(): Promise<string> {
    const { request } = this;
    if (Number(request.headers["content-length"] ?? 0) > largestBody) throw tooLarge();
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > largestBody) throw tooLarge();
        chunks.push(chunk);
      }
    } catch (cause) {
      if (cause instanceof HttpError) throw cause;
      throw new HttpError(400, "the request's body broke off", { cause });
    }
    return Buffer.concat(chunks).toString();
  }

  text(status: number, text: string): void {
    this.#end(status, "text/plain; charset=utf-8", text);
  }

  json(value: unknown): void {
    this.#end(200, "application/json", JSON.stringify(value));
  }

  /** JSON or any text, as somebody else wrote it. */
  body200(body: string): void {
    this.#end(200, /^\s*[[{n]/.test(body) ? "application/json" : "text/plain; charset=utf-8", body);
  }

  /** The head of an answer that comes in pieces. It is sent at once. */
  begin(type = "text/plain; charset=utf-8"): void {
    this.response.writeHead(200, { ...this.#hop(), "content-type": type });
    this.response.flushHeaders();
  }

  #end(status: number, type: string, text: string): void {
    const length = Buffer.byteLength(text);
    // What is left of a body that is too large is not read to its end.
    const close = status === 413 ? { connection: "close" } : {};
    this.response
      .writeHead(status, { ...this.#hop(), ...close, "content-type": type, "content-length": length })
      .end(text);
  }

  #hop(): Record<string, string> {
    return this.ours ? { [hopHeader]: hopVersion } : {};
  }
}

export function isOurs(request: IncomingMessage): boolean {
  return request.headers[hopHeader] === hopVersion;
}

/** Any method: interLink's programs are not of one mind which one it is. */
export type Handler = (exchange: Exchange) => Promise<void>;
/** Takes the connection over. */
export type UpgradeHandler = (
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  signal: AbortSignal,
) => Promise<void>;

export interface Routes {
  [path: string]: Handler;
}

function tooLarge(): HttpError {
  return new HttpError(413, `the request's body has more than ${largestBody} bytes`);
}
