import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import { onAbort } from "../../kube/abort.ts";
import type { Endpoint } from "./endpoint.ts";
import { hopHeader, hopVersion, streamProtocol } from "./wire/extension.ts";

/** The other side could not be reached, or its answer broke off: nobody knows what became of the request. */
export class UnreachableError extends Error {
  override name = "UnreachableError";
}

/** Any answer but 2xx. */
export class AnswerError extends Error {
  override name = "AnswerError";
  readonly status: number;
  readonly body: string;

  constructor(status: number, body: string) {
    super(`HTTP ${status}: ${body}`);
    this.status = status;
    this.body = body;
  }
}

export interface Answer {
  status: number;
  body: string;
  /** The other side of this hop is hostlet. */
  ours: boolean;
}

export interface Call {
  method: string;
  path: string;
  /** Text that is JSON already. */
  body?: string;
  headers?: Record<string, string>;
  signal: AbortSignal;
  /** Until the whole answer is there; of `open`, until its head is. ms */
  timeoutMs: number;
}

/** An answer that is larger is taken for a broken one. */
const largestAnswer = 64 * 2 ** 20;
const largestErrorText = 4096;

/** HTTP/1.1 to one endpoint, over few connections that are kept. Bodies of GET and DELETE are sent, as interLink wants it. */
export class HopClient {
  readonly endpoint: Endpoint;
  readonly #agent: HttpAgent;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
    this.#agent = endpoint.secure ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  }

  /** @throws {UnreachableError} @throws the signal's reason */
  async call(call: Call): Promise<Answer> {
    const deadline = AbortSignal.timeout(call.timeoutMs);
    const signal = AbortSignal.any([call.signal, deadline]);
    try {
      const response = await this.#send(call, signal);
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > largestAnswer) throw new Error(`an answer of more than ${largestAnswer} bytes`);
        chunks.push(chunk);
      }
      if (!response.complete) throw new Error("the answer broke off");
      return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString(), ours: isOurs(response) };
    } catch (error) {
      throw this.#explain(error, call, deadline);
    }
  }

  /** As `call`. @throws {AnswerError} too */
  async ok(call: Call): Promise<Answer> {
    const answer = await this.call(call);
    if (answer.status < 200 || answer.status > 299) throw new AnswerError(answer.status, errorText(answer.body));
    return answer;
  }

  /** An answer that is read as it comes; it ends with `signal`. @throws as `ok` */
  async open(call: Call): Promise<IncomingMessage> {
    const head = new AbortController();
    const timer = setTimeout(() => head.abort(new Error("timeout")), call.timeoutMs);
    try {
      const response = await this.#send(call, AbortSignal.any([call.signal, head.signal]), true);
      clearTimeout(timer);
      if (response.statusCode === 200) return response;
      let text = "";
      for await (const chunk of response as AsyncIterable<Buffer>) {
        text += chunk.toString();
        if (text.length > largestErrorText) break;
      }
      throw new AnswerError(response.statusCode ?? 0, errorText(text));
    } catch (error) {
      throw this.#explain(error, call, head.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A connection of its own that speaks `streamProtocol`. @throws {UnreachableError} @throws {AnswerError} */
  upgrade(path: string, signal: AbortSignal, timeoutMs: number): Promise<Duplex> {
    const call: Call = { method: "GET", path, signal, timeoutMs };
    return new Promise((resolve, reject) => {
      const request = this.#request(call, { connection: "Upgrade", upgrade: streamProtocol }, undefined, false);
      const fail = (error: unknown) => {
        release();
        request.destroy();
        reject(this.#explain(error, call, undefined));
      };
      const release = onAbort(signal, () => fail(signal.reason));
      request.setTimeout(timeoutMs, () => fail(new Error("timeout")));
      request.on("error", fail);
      request.on("response", (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => {
          text = (text + chunk).slice(0, largestErrorText);
        });
        response.on("close", () => fail(new AnswerError(response.statusCode ?? 0, errorText(text))));
      });
      request.on("upgrade", (_response, socket, head) => {
        release();
        request.setTimeout(0);
        socket.setTimeout(0);
        socket.unshift(head);
        resolve(socket);
      });
      request.end();
    });
  }

  /** Ends the connections that are idle. Idempotent. */
  close(): void {
    this.#agent.destroy();
  }

  #send(call: Call, signal: AbortSignal, ownConnection = false): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const request = this.#request(call, {}, signal, !ownConnection);
      request.on("error", reject);
      request.on("response", resolve);
      request.end(call.body);
    });
  }

  #request(call: Call, extra: Record<string, string>, signal: AbortSignal | undefined, pooled: boolean): ClientRequest {
    const { endpoint } = this;
    const options = {
      ...endpoint.connection(),
      method: call.method,
      path: endpoint.prefix + call.path,
      agent: pooled ? this.#agent : false,
      headers: {
        [hopHeader]: hopVersion,
        ...(call.body !== undefined && {
          "content-type": "application/json",
          "content-length": String(Buffer.byteLength(call.body)),
        }),
        ...endpoint.headers(),
        ...call.headers,
        ...extra,
      },
      ...(signal && { signal }),
    };
    return endpoint.secure ? httpsRequest(options) : httpRequest(options);
  }

  #explain(error: unknown, call: Call, deadline: AbortSignal | undefined): unknown {
    if (error instanceof AnswerError || error instanceof UnreachableError) return error;
    if (call.signal.aborted) return call.signal.reason;
    const why = deadline?.aborted
      ? `no answer within ${call.timeoutMs / 1000} s`
      : ((error as NodeJS.ErrnoException).code ?? (error as Error).message);
    return new UnreachableError(`${this.endpoint.url} can't be reached: ${why}`, { cause: error });
  }
}

export function isOurs(response: IncomingMessage): boolean {
  return response.headers[hopHeader] === hopVersion;
}

/** interLink's API server escapes what it hands on as HTML. */
function errorText(body: string): string {
  return body
    .slice(0, largestErrorText)
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&#34;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&")
    .trim();
}
