import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { HostletError } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";
import { actingUser, certificateUser, type User } from "../auth.ts";
import { internalError, StatusError } from "../status.ts";
import { Exchange } from "./exchange.ts";

export interface ServerOptions {
  host: string;
  port: number;
  cert: string;
  key: string;
  caPem: string;
  /** Whose bearer token it is; undefined for one that isn't valid. */
  authenticateToken(token: string): User | undefined;
  log: Logger;
  handle(exchange: Exchange, user: User | undefined): Promise<void>;
  /** An HTTP/1.1 request for another protocol; its connection is the callee's from here on. */
  upgrade(request: IncomingMessage, client: Duplex, head: Buffer, user: User | undefined): void;
}

export interface RunningServer {
  port: number;
  /** Ends every connection. Idempotent. */
  stop(): Promise<void>;
}

/** TLS with HTTP/2 by ALPN and HTTP/1.1. @throws {HostletError} ListenFailed */
export async function listen(options: ServerOptions): Promise<RunningServer> {
  const users = new WeakMap<object, User | null>();
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const server = createSecureServer({
    allowHTTP1: true,
    key: options.key,
    cert: options.cert,
    ca: options.caPem,
    requestCert: true,
    // Who comes without a certificate of ours may still have a token.
    rejectUnauthorized: false,
    settings: { maxConcurrentStreams: 1000 },
    // In MB. At Node's 10 a client that reads a few long lists at once is refused its next stream.
    maxSessionMemory: 1024,
  });
  server.on("request", (request, response) => {
    const exchange = new Exchange(request, response);
    const user = authenticate(exchange.headers, exchange.socket, users, options);
    options.handle(exchange, user).catch((error: unknown) => answerError(exchange, error, options.log));
  });
  server.on("upgrade", (request: IncomingMessage, client: TLSSocket, head: Buffer) => {
    options.upgrade(request, client, head, authenticate(request.headers, client, users, options));
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", (error: Error) => options.log.debug({ err: error }, "http2 session"));
  });
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  };
  // Those in the middle of their handshake, too: they would keep the server from its end.
  server.on("connection", track);
  server.on("secureConnection", (socket) => {
    track(socket);
    socket.on("error", (error: Error) => options.log.debug({ err: error }, "connection"));
  });
  await bound(server, options);
  let stopping: Promise<void> | undefined;
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      stopping ??= new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
        for (const socket of sockets) socket.destroy();
      });
      return stopping;
    },
  };
}

function bound(server: Http2SecureServer, { host, port }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      const why =
        error.code === "EADDRINUSE"
          ? "the port is in use: stop what listens there, or choose another port (0 takes a free one)"
          : error.message;
      reject(new HostletError("ListenFailed", `can't listen on ${host}:${port}: ${why}`, { cause: error }));
    };
    server.once("error", onError);
    server.listen(port, host, () => {
      server.removeListener("error", onError);
      resolve();
    });
  });
}

function authenticate(
  headers: IncomingHttpHeaders,
  socket: TLSSocket,
  users: WeakMap<object, User | null>,
  options: ServerOptions,
): User | undefined {
  const user = identify(headers, socket, users, options);
  return user && actingUser(user, headers);
}

function identify(
  { authorization }: IncomingHttpHeaders,
  socket: TLSSocket,
  users: WeakMap<object, User | null>,
  { authenticateToken }: ServerOptions,
): User | undefined {
  if (authorization?.startsWith("Bearer ")) return authenticateToken(authorization.slice("Bearer ".length).trim());
  let user = users.get(socket);
  if (user === undefined) {
    user = clientCertificate(socket) ?? null;
    users.set(socket, user);
  }
  return user ?? undefined;
}

function clientCertificate(socket: TLSSocket): User | undefined {
  return socket.authorized ? certificateUser(socket.getPeerCertificate().subject ?? {}) : undefined;
}

function answerError(exchange: Exchange, error: unknown, log: Logger): void {
  if (exchange.signal.aborted) return;
  const failure = error instanceof StatusError ? error : internalError(error);
  if (failure !== error) {
    log.error({ err: error, method: exchange.method, path: exchange.path }, "the embedded control plane failed");
  }
  if (exchange.started) exchange.reset();
  else exchange.send(failure.status.code, JSON.stringify(failure.status));
}
