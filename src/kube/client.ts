import type { IncomingHttpHeaders } from "node:http";
import { type ClientHttp2Stream, constants } from "node:http2";
import type { Readable } from "node:stream";
import type { Clock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { onAbort, unlessAborted } from "./abort.ts";
import { NetworkError, toApiError } from "./apiError.ts";
import type { ClientConfig } from "./clientConfig.ts";
import type { Credential, Credentials } from "./credentials.ts";
import { credentialsOf } from "./credentialsOf.ts";
import { type Endpoint, tlsOptions, toEndpoint, toNetworkError } from "./endpoint.ts";
import { Connector } from "./endpointConnector.ts";
import { type Call, Http1 } from "./http1.ts";
import { Http2Pool } from "./http2Pool.ts";
import { LineSplitter } from "./lines.ts";
import { type Query, withQuery } from "./paths.ts";
import type { DeleteOptions, ListMeta } from "./types.ts";
import { parseWatchEvent, type WatchEvent } from "./watchEvent.ts";

export interface RequestOptions {
  query?: Query;
  /** Sent as JSON. */
  body?: unknown;
  /** @default "application/json" */
  contentType?: string;
  /** @default "application/json" */
  accept?: string;
  signal?: AbortSignal;
  /** From the call to the last byte of the answer. @default 30_000 */
  timeoutMs?: number;
}
export type CallOptions = Omit<RequestOptions, "body" | "contentType">;

export interface StreamOptions {
  query?: Query;
  /** Ends the stream; it then rejects with the signal's reason. */
  signal: AbortSignal;
  /** Until the answer's headers. @default 30_000 */
  timeoutMs?: number;
}

export interface KubeList<T> {
  apiVersion?: string;
  kind?: string;
  metadata?: ListMeta;
  items: T[];
}

export type PatchType = "strategic" | "merge" | "json" | "apply";

/**
 * A thin client of one API server. Paths come from `paths` or `resourcePath`. Every call rejects with an ApiError (the
 * server answered), a NetworkError (it did not), a HostletError ConfigInvalid (no credentials), or its signal's reason.
 * Nothing is retried here (see `retry` and `reflect`), but for a GET that met a connection which the server had closed, and
 * what was answered 401 where a newer credential was found.
 */
export interface KubeClient {
  /** The URL, for messages. */
  readonly server: string;
  request<T>(method: string, path: string, options?: RequestOptions): Promise<T>;
  get<T>(path: string, options?: CallOptions): Promise<T>;
  /** One page; `query.limit` and `metadata.continue` make more of them. */
  list<T>(path: string, options?: CallOptions): Promise<KubeList<T>>;
  create<T>(path: string, body: T, options?: CallOptions): Promise<T>;
  update<T>(path: string, body: T, options?: CallOptions): Promise<T>;
  patch<T>(path: string, body: unknown, type: PatchType, options?: CallOptions): Promise<T>;
  delete<T>(path: string, body?: DeleteOptions, options?: CallOptions): Promise<T>;
  /** The answer's bytes as they come; resolves once the server agreed. Read it to its end, or abort the signal. */
  stream(path: string, options: StreamOptions): Promise<AsyncIterable<Uint8Array>>;
  /**
   * The events of one watch request, until the server ends it. Nothing is resumed: see `reflect`.
   * A connection that breaks, or ends within a line, throws a NetworkError.
   */
  watch<T>(path: string, options: StreamOptions): AsyncIterable<WatchEvent<T>>;
  /** Ends what is under way. Idempotent. */
  close(): void;
}

export interface ClientOptions {
  log: Logger;
  clock: Clock;
  /** `hostlet/0.1.0 (linux/x64)` */
  userAgent: string;
  /** Connections for requests; those beyond wait. @default 8 */
  maxSockets?: number;
  /** @default the configuration's */
  credentials?: Credentials;
  /** Where a proxy may be named, and what credential plugins get. @default process.env */
  env?: NodeJS.ProcessEnv;
  /** Whether credential plugins may ask the user on this process's terminal. @default false */
  interactive?: boolean;
}

const defaultTimeoutMs = 30_000;
/** As much of a foreign answer as is read for its error message. */
const longestError = 64 * 1024;

const patchTypes: Record<PatchType, string> = {
  strategic: "application/strategic-merge-patch+json",
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  apply: "application/apply-patch+yaml",
};

/** @throws {HostletError} ConfigInvalid */
export function createClient(config: ClientConfig, options: ClientOptions): KubeClient {
  return new HttpKubeClient(config, options);
}

interface Answered {
  status: number;
  headers: IncomingHttpHeaders;
  body: Readable;
}

class HttpKubeClient implements KubeClient {
  readonly server: string;
  readonly #endpoint: Endpoint;
  readonly #connector: Connector;
  readonly #http1: Http1;
  readonly #http2: Http2Pool;
  readonly #credentials: Credentials;
  readonly #userAgent: string;
  readonly #log: Logger;
  readonly #clock: Clock;

  constructor(config: ClientConfig, options: ClientOptions) {
    const { log, clock, userAgent, maxSockets = 8, env = process.env, interactive = false } = options;
    const { cert, key } = config;
    this.server = config.server;
    this.#endpoint = toEndpoint(config, env);
    this.#connector = new Connector(this.#endpoint, config, clock);
    this.#http1 = new Http1(this.#connector, clock, maxSockets);
    this.#http2 = new Http2Pool(this.#connector, clock);
    this.#credentials = options.credentials ?? credentialsOf(config, { clock, env, interactive });
    // what can't be used is told of now, not with the first request
    if (this.#endpoint.secure) tlsOptions(config, this.#endpoint.host, cert && key ? { cert, key } : undefined);
    this.#userAgent = userAgent;
    this.#log = log;
    this.#clock = clock;
  }

  async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const { signal, timeoutMs = defaultTimeoutMs } = options;
    const call = this.#call(method, path, options.query, options.accept);
    if (options.body !== undefined) {
      call.body = JSON.stringify(options.body);
      call.headers["content-type"] = options.contentType ?? "application/json";
      call.headers["content-length"] = Buffer.byteLength(call.body);
    }
    const send = () => this.#http1.exchange(call, timeoutMs, signal);
    const { message, body } = await this.#authorized(call, signal, send, ({ message }) => message.statusCode);
    const status = message.statusCode ?? 0;
    const text = body.length === 1 ? (body[0] as Buffer).toString() : Buffer.concat(body).toString();
    if (status >= 200 && status < 300 && isJson(message.headers)) {
      try {
        return JSON.parse(text) as T;
      } catch {
        // the parser's own words quote the answer, which may be a Secret
        throw this.#truncated(call, "the answer is no whole JSON");
      }
    }
    throw toApiError(call, answerOf(status, message.headers, text));
  }

  get<T>(path: string, options?: CallOptions): Promise<T> {
    return this.request("GET", path, options);
  }
  list<T>(path: string, options?: CallOptions): Promise<KubeList<T>> {
    return this.request("GET", path, options);
  }
  create<T>(path: string, body: T, options?: CallOptions): Promise<T> {
    return this.request("POST", path, { ...options, body });
  }
  update<T>(path: string, body: T, options?: CallOptions): Promise<T> {
    return this.request("PUT", path, { ...options, body });
  }
  patch<T>(path: string, body: unknown, type: PatchType, options?: CallOptions): Promise<T> {
    return this.request("PATCH", path, { ...options, body, contentType: patchTypes[type] });
  }
  delete<T>(path: string, body?: DeleteOptions, options?: CallOptions): Promise<T> {
    return this.request("DELETE", path, { ...options, ...(body ? { body } : {}) });
  }

  async stream(path: string, options: StreamOptions): Promise<AsyncIterable<Uint8Array>> {
    const call = this.#call("GET", path, options.query, "*/*");
    const answered = await this.#openAuthorized(call, options);
    if (answered.status !== 200) throw await this.#refusal(call, answered);
    return this.#bytes(call, answered.body, options.signal);
  }

  async *watch<T>(path: string, options: StreamOptions): AsyncGenerator<WatchEvent<T>> {
    const call = this.#call("GET", path, { ...options.query, watch: true });
    const answered = await this.#openAuthorized(call, options);
    if (answered.status !== 200 || !isJson(answered.headers)) throw await this.#refusal(call, answered);
    const lines = new LineSplitter();
    for await (const chunk of this.#bytes(call, answered.body, options.signal)) {
      for (const line of lines.push(chunk)) yield this.#parse<T>(call, line);
    }
    if (lines.partial) throw this.#truncated(call, "the watch ended in the middle of an event");
  }

  close(): void {
    this.#credentials.close();
    this.#connector.close();
    this.#http1.close();
    this.#http2.close();
  }

  #call(method: string, path: string, query?: Query, accept = "application/json"): Call {
    const headers: Call["headers"] = { host: this.#endpoint.authority, accept, "user-agent": this.#userAgent };
    return { method, path, target: withQuery(path, query), headers };
  }

  /** Sends; where the answer is 401 and a newer credential is found, once more with that: a 401 was not acted upon. */
  async #authorized<T>(
    call: Call,
    signal: AbortSignal | undefined,
    send: () => Promise<T>,
    statusOf: (answer: T) => number | undefined,
    discard: (answer: T) => void = () => {},
  ): Promise<T> {
    const used = await this.#identify(call, signal);
    const answer = await send();
    if (statusOf(answer) !== 401) return answer;
    this.#credentials.refused(used);
    let newer: Credential;
    try {
      newer = await this.#identify(call, signal);
    } catch (error) {
      discard(answer);
      throw error;
    }
    if (newer === used) return answer;
    discard(answer);
    return send();
  }

  /** Puts the credential of now on the call and on new connections. */
  async #identify(call: Call, signal: AbortSignal | undefined): Promise<Credential> {
    let credential: Credential;
    try {
      const current = this.#credentials.current();
      credential = await (signal && current instanceof Promise ? unlessAborted(current, signal) : current);
    } catch (cause) {
      if (signal?.aborted || cause instanceof HostletError) throw cause;
      throw new NetworkError(call, this.server, "CREDENTIALS", (cause as Error).message, cause);
    }
    this.#connector.present(credential.certificate);
    if (credential.authorization) call.headers.authorization = credential.authorization;
    else delete call.headers.authorization;
    return credential;
  }

  #openAuthorized(call: Call, options: StreamOptions): Promise<Answered> {
    const send = () => this.#open(call, options);
    const statusOf = ({ status }: Answered) => status;
    return this.#authorized(call, options.signal, send, statusOf, ({ body }) => cancel(body));
  }

  /** Over HTTP/2 where the server has it. From here on the signal ends the body. */
  async #open(call: Call, { signal, timeoutMs = defaultTimeoutMs }: StreamOptions): Promise<Answered> {
    signal.throwIfAborted();
    const stream = await this.#http2.open(call, signal);
    if (stream) return this.#headersOf(call, stream, signal, timeoutMs);
    const message = await this.#http1.open(call, timeoutMs, signal);
    endWith(message, signal);
    return { status: message.statusCode ?? 0, headers: message.headers, body: message };
  }

  #headersOf(call: Call, stream: ClientHttp2Stream, signal: AbortSignal, timeoutMs: number): Promise<Answered> {
    endWith(stream, signal);
    return new Promise((resolve, reject) => {
      const settle = () => {
        cancelTimer();
        stream.off("error", onEnd).off("close", onEnd);
      };
      const onEnd = (cause?: Error) => {
        settle();
        const closed = cause ?? Object.assign(new Error("closed without an answer"), { code: "ECONNRESET" });
        reject(signal.aborted ? signal.reason : toNetworkError(call, this.#endpoint, closed));
      };
      const cancelTimer = this.#clock.after(timeoutMs, () => {
        stream.destroy(Object.assign(new Error(`no answer within ${timeoutMs / 1000} s`), { code: "TIMEOUT" }));
      });
      stream.on("error", onEnd).on("close", onEnd);
      stream.once("response", (headers) => {
        settle();
        resolve({ status: headers[":status"] ?? 0, headers, body: stream });
      });
    });
  }

  async *#bytes(call: Call, body: Readable, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of body) yield chunk as Buffer;
      if (isHttp2(body) && body.rstCode !== constants.NGHTTP2_NO_ERROR) {
        // Node lets a stream whose connection broke end like one that is complete
        throw Object.assign(new Error("the connection was reset"), { code: "ECONNRESET" });
      }
    } catch (cause) {
      throw signal.aborted ? signal.reason : toNetworkError(call, this.#endpoint, cause);
    } finally {
      cancel(body);
    }
    signal.throwIfAborted();
  }

  #parse<T>(call: Call, line: Buffer): WatchEvent<T> {
    try {
      return parseWatchEvent<T>(line);
    } catch {
      this.#log.debug({ path: call.path, bytes: line.length }, "a line of a watch is no event");
      throw this.#truncated(call, "a line of the watch is no event");
    }
  }

  async #refusal(call: Call, { status, headers, body }: Answered): Promise<Error> {
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        length += chunk.length;
        if (length > longestError) break;
      }
    } catch {
      // what is there must do: the status code is the news
    } finally {
      cancel(body);
    }
    return toApiError(call, answerOf(status, headers, Buffer.concat(chunks).toString()));
  }

  #truncated(call: Call, message: string): NetworkError {
    return new NetworkError(call, this.server, "TRUNCATED", message);
  }
}

function isJson(headers: IncomingHttpHeaders): boolean {
  return headers["content-type"]?.startsWith("application/json") === true;
}

function answerOf(code: number, headers: IncomingHttpHeaders, body: string) {
  return { code, contentType: headers["content-type"], retryAfter: headers["retry-after"], body };
}

function isHttp2(body: Readable): body is ClientHttp2Stream {
  return "rstCode" in body;
}

/** Gives the stream back: RST_STREAM with CANCEL on HTTP/2, the connection closed on HTTP/1.1. */
function cancel(body: Readable): void {
  if (isHttp2(body)) body.close(constants.NGHTTP2_CANCEL);
  else body.destroy();
}

function endWith(body: Readable, signal: AbortSignal): void {
  // a reader hears of it; one that has left must not bring the process down
  body.on("error", () => {});
  body.once(
    "close",
    onAbort(signal, () => cancel(body)),
  );
}
