import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { finished } from "node:stream/promises";
import findMyWay from "find-my-way";
import { HostletError } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { answer, responseOn, statusOf } from "./answer.ts";
import { attributesOf } from "./guard/attributes.ts";
import type { Guard } from "./guard/guard.ts";
import type { Call, Route } from "./route.ts";

export interface DispatcherOptions {
  routes: readonly Route[];
  guard: Guard;
  log: Logger;
  maxBodyBytes: number;
  /** The client of this request is known, and may. */
  admitted?(request: IncomingMessage): void;
}

/** Brings requests and upgrades past the guard to their routes, and what those throw back to the client. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #router = findMyWay({ ignoreTrailingSlash: true });
  readonly #stopping = new AbortController();
  readonly #upgraded = new Set<Socket>();

  constructor(options: DispatcherOptions) {
    this.#options = options;
    for (const route of options.routes)
      for (const method of route.methods) this.#router.on(method, route.path, () => {}, route);
  }

  /** Ends what is under way. Idempotent. */
  stop(): void {
    this.#stopping.abort();
    for (const socket of this.#upgraded) socket.destroy();
  }

  /** Never rejects. */
  async request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
    const ended = finished(response)
      .catch(() => {})
      .finally(() => gone.abort());
    try {
      limitBody(request, response, this.#options.maxBodyBytes);
      const admitted = await this.#admit(request, signal, (status, text) => {
        if (response.headersSent) return;
        // Nobody who is not known holds a connection.
        if (status === 401) response.setHeader("connection", "close");
        answer(response, status, text);
      });
      if (admitted && !response.headersSent) await this.#handle(admitted, response);
    } catch (error) {
      if (signal.aborted) return;
      this.#complain(error);
      // Once bytes are out the only honest end is a broken one: the client must not take what it has for all.
      if (response.headersSent) response.destroy();
      else answer(response, statusOf(error), messageOf(error));
    }
    await ended;
  }

  /** Never rejects. */
  async upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    socket.on("error", () => {});
    if (!this.#find(request)?.route.upgrade) return this.request(request, responseOn(request, socket));
    const gone = new AbortController();
    const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
    this.#upgraded.add(socket);
    socket.once("close", () => {
      this.#upgraded.delete(socket);
      gone.abort();
    });
    const before = socket.bytesWritten;
    try {
      const admitted = await this.#admit(request, signal, (status, text) =>
        answer(responseOn(request, socket), status, text),
      );
      if (!admitted) return;
      await admitted.route.upgrade?.(admitted.call, socket, head);
      socket.end();
    } catch (error) {
      if (signal.aborted) return void socket.destroy();
      this.#complain(error);
      if (socket.bytesWritten > before) socket.destroy();
      else answer(responseOn(request, socket), statusOf(error), messageOf(error));
    }
  }

  /** Undefined where the guard refused, or there is no such path; that is answered then. */
  async #admit(
    request: IncomingMessage,
    signal: AbortSignal,
    refuse: (status: number, text: string) => void,
  ): Promise<{ route: Route; call: Call } | undefined> {
    const found = this.#find(request);
    const attributes = attributesOf(request.method ?? "GET", found?.route.access);
    const verdict = await this.#options.guard.authorize(request, attributes);
    if (!("user" in verdict)) return void refuse(verdict.status, verdict.message);
    this.#options.admitted?.(request);
    if (!found) return void refuse(404, "404 page not found");
    const query = new URLSearchParams(request.url?.slice(pathOf(request).length + 1));
    return { route: found.route, call: { request, params: found.params, query, user: verdict.user, signal } };
  }

  async #handle({ route, call }: { route: Route; call: Call }, response: ServerResponse): Promise<void> {
    if (route.handle) await route.handle(call, response);
    else answer(response, 400, "Upgrade request required: this path speaks SPDY/3.1 and WebSocket");
  }

  #find(request: IncomingMessage): { route: Route; params: Record<string, string> } | undefined {
    const found = this.#router.find((request.method ?? "GET") as "GET", pathOf(request));
    return found ? { route: found.store as Route, params: found.params as Record<string, string> } : undefined;
  }

  #complain(error: unknown): void {
    if (!(error instanceof HostletError))
      this.#options.log.error({ err: error }, "a request of the kubelet API failed");
  }
}

/** No path of a kubelet takes more than a few bytes of body, or looks at them: they are read, and are not to be many. */
function limitBody(request: IncomingMessage, response: ServerResponse, most: number): void {
  const tooLong = () => {
    request.pause().removeAllListeners("data");
    if (response.headersSent) return void response.destroy();
    response.setHeader("connection", "close");
    answer(response, 413, `the request's body is longer than ${most} bytes`);
  };
  if (Number(request.headers["content-length"]) > most) {
    tooLong();
    return;
  }
  let length = 0;
  request.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length > most) tooLong();
  });
}

function pathOf({ url = "/" }: IncomingMessage): string {
  return url.split("?", 1)[0]!;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
