import { constants } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server, type ServerOptions } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { HostletError } from "../errors.ts";
import { Newcomers } from "./connections.ts";
import { Dispatcher } from "./dispatcher.ts";
import { createGuard } from "./guard/guard.ts";
import type { Reviews } from "./guard/reviews.ts";
import type { RouteDeps } from "./route.ts";
import { routes } from "./routes/index.ts";

/** PEM texts. */
export interface ServingCertificates {
  /** Absent: there is none yet, and every handshake fails until there is. */
  cert?: string;
  key?: string;
  /** The CA, or CAs, of clients' certificates. */
  clientCa: string;
}

export interface KubeletServerOptions extends ServingCertificates, RouteDeps {
  host: string;
  /** 0: any that is free */
  port: number;
  reviews: Reviews;
  /** @default defaultLimits */
  limits?: Partial<Limits>;
}

type Limits = Record<keyof typeof defaultLimits, number>;

export interface KubeletServer {
  readonly port: number;
  /** For connections from now on. @throws where they can't be used; then those of before stay */
  useCertificates(certificates: ServingCertificates): void;
  /** Ends every connection, streams too. Idempotent. */
  stop(): Promise<void>;
}

/** What a client may take: it is about as slow as a bad line, and slower than that it is an attack. */
const defaultLimits = {
  /** Until TLS is up, then until the headers are there. */
  handshakeMs: 10_000,
  headersMs: 10_000,
  /** Until the whole request is there. */
  requestMs: 30_000,
  /** Between requests on one connection. */
  idleMs: 90_000,
  /** How often those are looked at. */
  checkMs: 2_000,
  /** First probe to a peer that says nothing: one that is gone without a word is found out. */
  keepAliveMs: 30_000,
  /** Request line and headers: `kubectl exec` has its command in the line. */
  headerBytes: 64 * 1024,
  bodyBytes: 64 * 1024,
  connections: 1000,
  newcomers: 100,
};

/**
 * The kubelet API: what kube-apiserver and others ask of a node. TLS always; who asks is known by a client certificate or
 * a bearer token, and may what RBAC says of `nodes/...`; everybody else gets 401 or 403.
 * @throws {HostletError} ListenFailed
 */
export async function startKubeletServer(options: KubeletServerOptions): Promise<KubeletServer> {
  const { log, clock, reviews } = options;
  const limits: Limits = { ...defaultLimits, ...options.limits };
  const newcomers = new Newcomers(limits.newcomers);
  const dispatcher = new Dispatcher({
    routes: routes(options),
    guard: createGuard({ reviews, clock, log }),
    log,
    maxBodyBytes: limits.bodyBytes,
    admitted: (request) => newcomers.known(request.socket),
  });
  const server = createServer({
    ...secureContext(options),
    requestCert: true,
    // Refused by the guard, with an answer that says so: a handshake that fails tells a user nothing.
    rejectUnauthorized: false,
    handshakeTimeout: limits.handshakeMs,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: limits.checkMs,
    maxHeaderSize: limits.headerBytes,
    keepAlive: true,
    keepAliveInitialDelay: limits.keepAliveMs,
  });
  server.maxConnections = limits.connections;
  newcomers.watch(server);
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    void dispatcher.request(request, response);
  });
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    void dispatcher.upgrade(request, socket, head);
  });
  await listen(server, options.host, options.port);
  server.unref();
  let closed: Promise<void> | undefined;
  return {
    port: (server.address() as AddressInfo).port,
    useCertificates(certificates) {
      server.setSecureContext(secureContext(certificates));
      // Who was let in by a CA that is no more has to show another certificate.
      server.closeIdleConnections();
    },
    stop() {
      dispatcher.stop();
      closed ??= new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      return closed;
    },
  };
}

function secureContext({ cert, key, clientCa }: ServingCertificates): ServerOptions {
  return {
    ...(cert !== undefined && key !== undefined && { cert, key }),
    ca: clientCa,
    minVersion: "TLSv1.2",
    // A resumed session would be let in by the CA and the clock of its first handshake.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === "EADDRINUSE" ? "the port is in use; choose another one with --kubelet-port" : cause.message;
      reject(new HostletError("ListenFailed", `the kubelet API can't listen on ${host}:${port}: ${why}`, { cause }));
    });
    server.listen(port, host, () => resolve());
  });
}
