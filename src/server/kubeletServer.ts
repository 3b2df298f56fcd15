import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { HostletError } from "../errors.ts";
import { Dispatcher } from "./dispatcher.ts";
import { certificateGuard } from "./guard/guard.ts";
import type { RouteDeps } from "./route.ts";
import { routes } from "./routes/index.ts";

export interface KubeletServerOptions extends RouteDeps {
  host: string;
  /** 0: any that is free */
  port: number;
  /** PEM */
  cert: string;
  key: string;
  /** PEM; clients must show a certificate that this CA signed. */
  clientCa: string;
}

export interface KubeletServer {
  readonly port: number;
  /** Ends every connection, streams too. Idempotent. */
  stop(): Promise<void>;
}

/** Until a client has sent its headers, and between requests on one connection. */
const headersTimeoutMs = 10_000;
const idleTimeoutMs = 60_000;
const maxConnections = 1000;

/**
 * The kubelet API: what kube-apiserver asks of a node. TLS always, and only for clients with a certificate of the
 * kubelet-client CA; everybody else gets 401.
 * @throws {HostletError} ListenFailed
 */
export async function startKubeletServer(options: KubeletServerOptions): Promise<KubeletServer> {
  const dispatcher = new Dispatcher({ routes: routes(options), guard: certificateGuard, log: options.log });
  const server = createServer({
    cert: options.cert,
    key: options.key,
    ca: options.clientCa,
    requestCert: true,
    // Refused by the guard, with an answer that says so: a handshake that fails tells a user nothing.
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
  });
  server.headersTimeout = headersTimeoutMs;
  server.keepAliveTimeout = idleTimeoutMs;
  server.maxConnections = maxConnections;
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
