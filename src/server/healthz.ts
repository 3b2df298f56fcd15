import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "../telemetry/log.ts";
import { answer } from "./answer.ts";

export interface HealthzServer {
  /** Undefined: somebody else has the port. */
  readonly port: number | undefined;
  /** Idempotent. */
  stop(): Promise<void>;
}

/**
 * `/healthz` on loopback, without TLS: it says `ok`, and nothing else to anybody. As on a kubelet a port that is taken, by
 * another agent of this host for one, is told of and no more.
 */
export async function startHealthzServer(port: number, log: Logger): Promise<HealthzServer> {
  const server = createServer({ headersTimeout: 5000, requestTimeout: 5000 }, (request, response) => {
    const found = request.method === "GET" && request.url?.split("?", 1)[0] === "/healthz";
    response.setHeader("connection", "close");
    answer(response, found ? 200 : 404, found ? "ok" : "404 page not found");
  });
  server.maxConnections = 20;
  server.unref();
  const listening = await new Promise<boolean>((resolve) => {
    server.once("error", (error) => {
      log.warn({ err: error, port }, "the health port can't be listened on: /healthz is on the kubelet API alone");
      resolve(false);
    });
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  let closed: Promise<void> | undefined;
  return {
    port: listening ? (server.address() as AddressInfo).port : undefined,
    stop() {
      closed ??= new Promise((resolve) => {
        if (!listening) return resolve();
        server.close(() => resolve());
        server.closeAllConnections();
      });
      return closed;
    },
  };
}
