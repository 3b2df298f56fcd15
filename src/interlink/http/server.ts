import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { finished } from "node:stream/promises";
import { HostletError } from "../../errors.ts";
import { WireError } from "../../providers/interlink/wire/decode.ts";
import { hopHeader, hopVersion, streamProtocol } from "../../providers/interlink/wire/extension.ts";
import type { Logger } from "../../telemetry/log.ts";
import { Exchange, HttpError, isOurs, type Routes, type UpgradeHandler } from "./exchange.ts";
import { type ListenOptions, listen } from "./listen.ts";

/** Says who the caller is. @throws {HttpError} 401 */
export type Authenticate = (request: IncomingMessage) => Promise<void>;

export interface HopServerOptions extends Omit<ListenOptions, "authenticated"> {
  /** Without it everybody is let in who can connect. */
  authenticate?: Authenticate | undefined;
  routes: Routes;
  /** By path. */
  upgrades?: Record<string, UpgradeHandler>;
  log: Logger;
}

export interface HopServer {
  /** Undefined on a unix socket. */
  readonly port: number | undefined;
  /** Ends every connection. Idempotent. */
  stop(): Promise<void>;
}

/** interLink's: until the headers are there, and until the whole request is. */
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 30_000;

/** @throws {HostletError} ConfigInvalid, ListenFailed */
export async function startHopServer(options: HopServerOptions): Promise<HopServer> {
  const { authenticate } = options;
  const { server, port } = await listen({ ...options, authenticated: authenticate !== undefined });
  const stopping = new AbortController();
  const connections = new Set<Duplex>();
  server.headersTimeout = headersTimeoutMs;
  server.requestTimeout = requestTimeoutMs;
  server.on("request", (request, response) => void answer(request, response, options, stopping.signal));
  server.on("upgrade", (request, socket, head) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
    socket.on("error", () => {});
    void upgrade(request, socket, head, options, stopping.signal);
  });
  let stopped: Promise<void> | undefined;
  return {
    port,
    stop() {
      stopping.abort();
      stopped ??= close(server, connections);
      return stopped;
    },
  };
}

function close(server: Server, connections: Set<Duplex>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
    for (const socket of connections) socket.destroy();
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { routes, authenticate, log, what }: HopServerOptions,
  stopping: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  const exchange = new Exchange(request, response, AbortSignal.any([gone.signal, stopping]));
  const ended = finished(response)
    .catch(() => {})
    .finally(() => gone.abort());
  const path = (request.url ?? "/").split("?")[0]!.replace(/(.)\/$/, "$1");
  try {
    await authenticate?.(request);
    const handler = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (!handler) throw new HttpError(404, "404 page not found");
    await handler(exchange);
  } catch (error) {
    if (!exchange.signal.aborted) {
      const { status, message } = explain(error);
      log[status < 500 ? "info" : "warn"](
        { err: error, path, session: exchange.session, status },
        `${what}: a call failed`,
      );
      // Once bytes are out, the only honest end is a broken one.
      if (response.headersSent) response.destroy();
      else exchange.text(status, message);
    }
  }
  await ended;
}

async function upgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  { upgrades = {}, authenticate, log, what }: HopServerOptions,
  stopping: AbortSignal,
): Promise<void> {
  try {
    await authenticate?.(request);
    const path = (request.url ?? "/").split("?")[0]!;
    const handler = Object.hasOwn(upgrades, path) ? upgrades[path] : undefined;
    if (!handler || !isOurs(request)) throw new HttpError(404, "404 page not found");
    await handler(request, socket, head, stopping);
  } catch (error) {
    const { status, message } = explain(error);
    log.info({ err: error, status }, `${what}: a stream failed`);
    refuse(socket, status, message);
  }
}

/** The answer to an upgrade that is granted. */
export function accept(socket: Duplex): void {
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${streamProtocol}\r\n${hopHeader}: ${hopVersion}\r\n\r\n`,
  );
}

function refuse(socket: Duplex, status: number, message: string): void {
  const length = Buffer.byteLength(message);
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${length}\r\n\r\n${message}`,
  );
}

/** What a client is told: only errors that were made for it keep their words. */
function explain(error: unknown): { status: number; message: string } {
  if (error instanceof HttpError) return { status: error.status, message: error.message };
  if (error instanceof WireError) return { status: 400, message: `invalid request body: ${error.message}` };
  if (error instanceof HostletError) {
    const status =
      { NotFound: 404, NotSupported: 501, PodInvalid: 422, ConfigInvalid: 400 }[error.code as string] ?? 500;
    return { status, message: error.message };
  }
  return { status: 500, message: error instanceof Error ? error.message : String(error) };
}
