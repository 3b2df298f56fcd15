import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { finished } from "node:stream/promises";
import type { TLSSocket } from "node:tls";
import findMyWay from "find-my-way";
import { HostletError } from "../errors.ts";
import { type Pod, podRef } from "../kube/types.ts";
import type { Provider } from "../providers/contract.ts";
import type { Logger } from "../telemetry/log.ts";
import { parseLogQuery } from "./logQuery.ts";

export interface KubeletServerOptions {
  host: string;
  /** 0: any that is free */
  port: number;
  /** PEM */
  cert: string;
  key: string;
  /** PEM; clients must show a certificate that this CA signed. */
  clientCa: string;
  provider: Provider;
  log: Logger;
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
  const { provider, log } = options;
  const router = findMyWay({ ignoreTrailingSlash: true });
  const abort = new AbortController();

  router.on("GET", "/healthz", (_request, response) => answer(response, 200, "ok"));
  router.on("GET", "/containerLogs/:namespace/:pod/:container", (request, response, params) => {
    const { namespace = "", pod: name = "", container = "" } = params;
    void respond(response, log, abort.signal, async (signal) => {
      const query = new URL(request.url ?? "/", "https://kubelet").searchParams;
      const logOptions = parseLogQuery(query);
      const pod = findPod(provider, namespace, name, query.get("podUID") ?? undefined);
      const chunks = provider.logs(podRef(pod), container, logOptions, signal);
      response.setHeader("content-type", "text/plain");
      for await (const chunk of chunks) {
        if (!response.write(chunk) && !response.destroyed) await once(response, "drain", { signal });
      }
      response.end();
    });
  });

  const server = createServer({
    cert: options.cert,
    key: options.key,
    ca: options.clientCa,
    requestCert: true,
    // Refused below, with an answer that says so: a handshake that fails tells a user nothing.
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
  });
  server.headersTimeout = headersTimeoutMs;
  server.keepAliveTimeout = idleTimeoutMs;
  server.maxConnections = maxConnections;
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    if (!(request.socket as TLSSocket).authorized) {
      answer(response, 401, "Unauthorized: show a client certificate of the cluster's kubelet-client CA");
      return;
    }
    if (!router.find(request.method as "GET", (request.url ?? "/").split("?")[0]!)) {
      answer(response, 404, "404 page not found");
      return;
    }
    router.lookup(request, response);
  });
  await listen(server, options.host, options.port);
  server.unref();
  let closed: Promise<void> | undefined;
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      abort.abort();
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

function findPod(provider: Provider, namespace: string, name: string, uid: string | undefined): Pod {
  const pods = provider.list().filter((pod) => {
    const ref = podRef(pod);
    return ref.namespace === namespace && ref.name === name && (uid === undefined || ref.uid === uid);
  });
  // Of two of the same name the older one is still being ended.
  const pod = pods.at(-1);
  if (!pod) throw new HostletError("NotFound", `pod ${name} does not exist on this node`);
  return pod;
}

/**
 * Runs a handler; its signal aborts when the client goes away or the server stops. An error before the first byte becomes
 * the answer.
 */
async function respond(
  response: ServerResponse,
  log: Logger,
  stopping: AbortSignal,
  handler: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const abort = new AbortController();
  const signal = AbortSignal.any([abort.signal, stopping]);
  const ended = finished(response)
    .catch(() => {})
    .finally(() => abort.abort());
  try {
    await handler(signal);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof HostletError)) log.error({ err: error }, "a request of the kubelet API failed");
    const message = error instanceof Error ? error.message : String(error);
    // Once bytes are out the only honest end is a broken one: the client must not take what it has for all.
    if (response.headersSent) response.destroy();
    else answer(response, statusOf(error), message);
  }
  await ended;
}

/** The kubelet answers 400 to a container that has no log yet, and 404 to a pod that it does not have. */
function statusOf(error: unknown): number {
  if (!(error instanceof HostletError)) return 500;
  if (error.code === "NotSupported") return 501;
  return error.code === "NotFound" && error.message.startsWith("pod ") ? 404 : 400;
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(text);
}
