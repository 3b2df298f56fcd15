import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { type EndpointOptions, parseEndpoint } from "../../providers/interlink/endpoint.ts";
import { type Answer, AnswerError, HopClient, UnreachableError } from "../../providers/interlink/http.ts";
import { type Exchange, HttpError } from "../http/exchange.ts";

/** As long as a node waits for an answer. */
const answerMs = 120_000;

/** The plugin, as the API server calls it. */
export class Upstream {
  readonly #client: HopClient;

  /** @throws {HostletError} ConfigInvalid */
  constructor(endpoint: EndpointOptions) {
    this.#client = new HopClient(parseEndpoint(endpoint, "SidecarURL"));
  }

  get url(): string {
    return this.#client.endpoint.url;
  }

  /** The plugin's answer, whatever it is. @throws {HttpError} 502 where there is none */
  async call(exchange: Exchange, method: string, path: string, body: string): Promise<Answer> {
    const headers = { "interlink-http-session": sessionOf(exchange) };
    try {
      return await this.#client.call({ method, path, body, headers, signal: exchange.signal, timeoutMs: answerMs });
    } catch (error) {
      throw unreachable(error);
    }
  }

  /** @throws {HttpError} the plugin's status, in interLink's words */
  async ok(exchange: Exchange, method: string, path: string, body: string): Promise<Answer> {
    const answer = await this.call(exchange, method, path, body);
    if (answer.status >= 200 && answer.status <= 299) return answer;
    throw refused(sessionOf(exchange), answer.status, answer.body);
  }

  /** @throws {HttpError} as `ok` */
  async open(exchange: Exchange, path: string, body: string): Promise<IncomingMessage> {
    const headers = { "interlink-http-session": sessionOf(exchange) };
    try {
      return await this.#client.open({
        method: "GET",
        path,
        body,
        headers,
        signal: exchange.signal,
        timeoutMs: answerMs,
      });
    } catch (error) {
      if (error instanceof AnswerError) throw refused(sessionOf(exchange), error.status, error.body);
      throw unreachable(error);
    }
  }

  /** A connection for a stream. @throws {HttpError} */
  async stream(path: string, signal: AbortSignal) {
    try {
      return await this.#client.upgrade(path, signal, answerMs);
    } catch (error) {
      if (error instanceof AnswerError) throw new HttpError(error.status, error.body);
      throw unreachable(error);
    }
  }

  close(): void {
    this.#client.close();
  }
}

function sessionOf({ session }: Exchange): string {
  return session ?? `Request-${randomUUID()}`;
}

/** interLink's API server says 500 there whatever it was, and escapes the body as HTML, which its node can't read. */
function refused(session: string, status: number, body: string): HttpError {
  return new HttpError(status, `HTTP InterLink session ${session}:  call exit status: ${status}. Body: ${body}`);
}

function unreachable(error: unknown): unknown {
  if (!(error instanceof UnreachableError)) return error;
  return new HttpError(502, `the plugin can't be reached: ${error.message}`, { cause: error });
}
