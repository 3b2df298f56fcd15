import { type ClientRequest, type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { onAbort } from "../../kube/abort.ts";
import type { EngineVersion } from "./api.ts";
import { EngineError } from "./engineError.ts";

/** Nothing of the engine's takes longer but what streams. ms */
const answerWithin = 120_000;
/** What we ask for; an engine that no longer speaks it is asked for the oldest that it does. */
const wantedVersion = "1.41";
/** Error messages are short; anything longer is none. */
const longestMessage = 64 * 1024;

export interface EngineCall {
  method: "GET" | "POST" | "DELETE" | "HEAD";
  /** Below the API's version, its parts encoded. */
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  headers?: Record<string, string>;
  /** Of a body that is no JSON. */
  raw?: { type: string; bytes: Uint8Array };
  /** Breaks the call off. */
  signal?: AbortSignal;
}

/** A connection that was taken out of HTTP: what each side sends are the streams' own bytes. */
export interface Hijacked {
  socket: Socket;
  /** What came with the answer's head. */
  head: Buffer;
}

/** Docker's Engine API over a unix socket; Podman speaks it, too. One connection for each call. */
export class EngineClient {
  readonly socketPath: string;
  #version = wantedVersion;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /**
   * Asks who the engine is, and which version of its API to speak from then on.
   * @throws {EngineError}
   */
  async negotiate(): Promise<EngineVersion> {
    const found = await this.json<EngineVersion>({ method: "GET", path: "/version" });
    const { MinAPIVersion: oldest = wantedVersion } = found;
    this.#version = minor(oldest) > minor(wantedVersion) ? oldest : wantedVersion;
    return found;
  }

  /**
   * The answer's JSON; undefined where it has none.
   * @throws {EngineError}
   */
  async json<T>(call: EngineCall): Promise<T> {
    const signals = [AbortSignal.timeout(answerWithin), ...(call.signal ? [call.signal] : [])];
    const response = await this.stream({ ...call, signal: AbortSignal.any(signals) });
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch (cause) {
      throw this.#lost(call, cause);
    }
    const text = Buffer.concat(chunks).toString();
    try {
      return (text.trim() === "" ? undefined : JSON.parse(text)) as T;
    } catch (cause) {
      throw new EngineError(0, `the container engine answered ${call.method} ${call.path} with no JSON`, { cause });
    }
  }

  /**
   * The answer's body as it comes. Who takes it reads it to its end or destroys it.
   * @throws {EngineError}
   */
  async stream(call: EngineCall): Promise<IncomingMessage> {
    const outgoing = this.#open(call);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once("response", resolve);
      outgoing.once("error", (cause) => reject(this.#lost(call, cause)));
    });
    const status = response.statusCode ?? 0;
    if (status < 400) return response;
    throw new EngineError(status, await messageIn(response));
  }

  /**
   * A call that goes on as a raw connection (attach, exec).
   * @throws {EngineError}
   */
  async hijack(call: EngineCall): Promise<Hijacked> {
    const outgoing = this.#open({ ...call, headers: { ...call.headers, connection: "Upgrade", upgrade: "tcp" } });
    return new Promise<Hijacked>((resolve, reject) => {
      outgoing.once("upgrade", (_response, socket: Socket, head) => resolve({ socket, head }));
      outgoing.once("response", (response) => {
        void messageIn(response).then(
          (message) => reject(new EngineError(response.statusCode ?? 0, message)),
          (cause) => reject(this.#lost(call, cause)),
        );
      });
      outgoing.once("error", (cause) => reject(this.#lost(call, cause)));
    });
  }

  #open({ method, path, query = {}, body, raw, headers = {}, signal }: EngineCall): ClientRequest {
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value));
    const bytes = raw ? raw.bytes : body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const outgoing = request({
      socketPath: this.socketPath,
      method,
      // Only the question which versions it speaks has none itself.
      path: `${path === "/version" ? "" : `/v${this.#version}`}${path}${search.size > 0 ? `?${search}` : ""}`,
      headers: {
        host: "engine",
        ...(bytes && { "content-type": raw?.type ?? "application/json", "content-length": bytes.length }),
        ...headers,
      },
      agent: false,
    });
    if (signal) {
      const forget = onAbort(signal, () => outgoing.destroy(signal.reason as Error));
      outgoing.once("close", forget);
    }
    outgoing.end(bytes);
    return outgoing;
  }

  #lost(call: EngineCall, cause: unknown): unknown {
    if (cause instanceof EngineError) return cause;
    if (call.signal?.aborted && cause === call.signal.reason) return cause;
    const { message } = cause as Error;
    return new EngineError(0, `the container engine at ${this.socketPath} does not answer: ${message}`, { cause });
  }
}

/** Both are 1.something. */
function minor(version: string): number {
  return Number(version.split(".")[1] ?? 0);
}

async function messageIn(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (text.length < longestMessage) text += chunk.toString();
  }
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string") return message;
  } catch {
    // no JSON: the text as it is
  }
  return text.trim() || `status ${response.statusCode}`;
}
