import { type AgentOptions, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import { onAbort } from "./abort.ts";
import { NetworkError } from "./apiError.ts";
import { type Endpoint, toNetworkError } from "./endpoint.ts";
import type { Connector } from "./endpointConnector.ts";

/** One request, its headers complete. `path` is without the endpoint's prefix and without the query. */
export interface Call {
  method: string;
  path: string;
  target: string;
  headers: Record<string, string | number>;
  body?: string | undefined;
}

export interface Exchanged {
  message: IncomingMessage;
  body: Buffer[];
}

/** The server closed an idle connection while the request was on its way: it was never read there, and is sent again. */
class StaleSocket extends Error {}

/** kube-apiserver closes idle connections after 90 s; closing them first avoids most of the races with it. */
const idleSocketMs = 60_000;

/** An agent whose connections are the connector's; the certificate's generation is the name of their pool. */
function agentOf(connector: Connector, options: AgentOptions): HttpAgent {
  const agent = connector.endpoint.secure ? new HttpsAgent(options) : new HttpAgent(options);
  const connect = agent.createConnection.bind(agent);
  agent.getName = () => String(connector.generation);
  agent.createConnection = (wanted, done) => {
    if (!connector.endpoint.proxy) return connect({ ...wanted, ...connector.tls }, done);
    connector.tunnel().then(
      (socket) => {
        // over a given socket TLS only; plain HTTP goes over it as it is
        const made = connector.endpoint.secure ? connect({ ...wanted, ...connector.tls, socket } as never) : socket;
        done?.(null, made as Socket);
      },
      (cause) => done?.(cause, undefined as never),
    );
    return undefined;
  };
  return agent;
}

/** HTTP/1.1: short exchanges over a few kept connections, and streams over a connection each. */
export class Http1 {
  readonly #endpoint: Endpoint;
  readonly #clock: Clock;
  readonly #request: typeof httpRequest;
  readonly #exchanges: HttpAgent;
  readonly #streams: HttpAgent;
  #closed = false;

  constructor(connector: Connector, clock: Clock, maxSockets: number) {
    this.#endpoint = connector.endpoint;
    this.#clock = clock;
    this.#request = this.#endpoint.secure ? httpsRequest : httpRequest;
    const keep = { keepAlive: true, scheduling: "lifo", timeout: idleSocketMs } as const;
    this.#exchanges = agentOf(connector, { ...keep, maxSockets, maxFreeSockets: maxSockets });
    this.#streams = agentOf(connector, { keepAlive: false });
  }

  /** Sends, and collects the whole answer. @throws {NetworkError}, or the signal's reason */
  async exchange(call: Call, timeoutMs: number, signal: AbortSignal | undefined): Promise<Exchanged> {
    for (;;) {
      try {
        return await this.#exchangeOnce(call, timeoutMs, signal);
      } catch (error) {
        if (!(error instanceof StaleSocket)) throw error;
      }
    }
  }

  #exchangeOnce(call: Call, timeoutMs: number, signal: AbortSignal | undefined): Promise<Exchanged> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (this.#closed) return reject(this.#refusal(call));
      const request = this.#request(this.#options(call, this.#exchanges));
      const body: Buffer[] = [];
      let answered = false;
      const letGo = () => {
        cancelTimer();
        ignoreAbort?.();
      };
      const fail = (cause: unknown) => {
        letGo();
        request.destroy();
        reject(cause);
      };
      const onError = (cause: NodeJS.ErrnoException) => {
        const stale = request.reusedSocket && call.method === "GET" && !answered;
        const reset = cause.code === "ECONNRESET" || cause.code === "EPIPE";
        fail(stale && reset ? new StaleSocket() : toNetworkError(call, this.#endpoint, cause));
      };
      const cancelTimer = this.#clock.after(timeoutMs, () => fail(this.#timedOut(call, timeoutMs)));
      const ignoreAbort = signal && onAbort(signal, () => fail(signal.reason));
      request.on("error", onError);
      request.once("response", (message) => {
        answered = true;
        message.on("data", (chunk: Buffer) => body.push(chunk));
        message.on("error", onError);
        message.on("end", () => {
          letGo();
          resolve({ message, body });
        });
      });
      request.end(call.body);
    });
  }

  /** Sends, and resolves once the headers of the answer are here; the body is the caller's, to read or to destroy. */
  open(call: Call, timeoutMs: number, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#closed) return reject(this.#refusal(call));
      const request = this.#request(this.#options(call, this.#streams));
      const letGo = () => {
        cancelTimer();
        ignoreAbort();
      };
      const fail = (cause: unknown) => {
        letGo();
        request.destroy();
        reject(cause);
      };
      const cancelTimer = this.#clock.after(timeoutMs, () => fail(this.#timedOut(call, timeoutMs)));
      const ignoreAbort = onAbort(signal, () => fail(signal.reason));
      request.on("error", (cause) => fail(toNetworkError(call, this.#endpoint, cause)));
      request.on("socket", (socket) => socket.setKeepAlive(true, 30_000));
      request.once("response", (message) => {
        letGo();
        resolve(message);
      });
      request.end(call.body);
    });
  }

  close(): void {
    this.#closed = true;
    this.#exchanges.destroy();
    this.#streams.destroy();
  }

  #options(call: Call, agent: HttpAgent) {
    const { host, port, basePath } = this.#endpoint;
    return { agent, host, port, method: call.method, path: basePath + call.target, headers: call.headers };
  }

  #refusal(call: Call): NetworkError {
    return new NetworkError(call, this.#endpoint.server, "CLOSED", "the client was closed");
  }

  #timedOut(call: Call, timeoutMs: number): NetworkError {
    return new NetworkError(call, this.#endpoint.server, "TIMEOUT", `no answer within ${timeoutMs / 1000} s`);
  }
}
