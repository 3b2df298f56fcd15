import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from "node:http";
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse, type Http2Session } from "node:http2";
import { createServer as createHttps } from "node:https";
import type { AddressInfo, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestCertificates {
  /** The server's certificate signs itself, so it is its own CA. */
  cert: string;
  key: string;
}

let certificates: TestCertificates | undefined;

/** Made once a process; for localhost and 127.0.0.1, valid for ten years. */
export function testCertificates(): TestCertificates {
  if (certificates) return certificates;
  const directory = mkdtempSync(join(tmpdir(), "hostlet-cert-"));
  try {
    const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
    const options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=localhost";
    const names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    execFileSync("openssl", [...options.split(" "), ...names, "-keyout", key, "-out", cert], { stdio: "ignore" });
    certificates = { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
    return certificates;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export type TestRequest = IncomingMessage | Http2ServerRequest;
export type TestResponse = (ServerResponse | Http2ServerResponse) & { write(chunk: string | Buffer): boolean };
export type TestHandler = (request: TestRequest, response: TestResponse, url: URL) => void | Promise<void>;

export interface TestServer {
  url: string;
  /** Connections that are open now. */
  sockets: Set<Socket>;
  /** Connections ever made. */
  connections: number;
  /** HTTP/2 sessions that are open now. */
  sessions: Set<Http2Session>;
  close(): Promise<void>;
}

/** A server on loopback that answers as the test says. `h2` also speaks HTTP/1.1, as kube-apiserver does. */
export async function startTestServer(kind: "h2" | "https" | "http", handler: TestHandler): Promise<TestServer> {
  const listener = (request: TestRequest, response: TestResponse) => {
    const url = new URL(request.url ?? "/", "http://test");
    void Promise.resolve(handler(request, response, url));
  };
  const server = listenerFor(kind, listener as never);
  const sockets = new Set<Socket>();
  const sessions = new Set<Http2Session>();
  const result: TestServer = {
    url: "",
    sockets,
    sessions,
    connections: 0,
    close: async () => {
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  server.on("connection", (socket: Socket) => {
    result.connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("session", (session: Http2Session) => {
    sessions.add(session);
    session.on("error", () => {});
    session.on("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  result.url = `${kind === "http" ? "http" : "https"}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return result;
}

function listenerFor(kind: "h2" | "https" | "http", listener: never): Server {
  if (kind === "http") return createHttp1(listener);
  if (kind === "https") return createHttps(testCertificates(), listener);
  return createSecureServer({ ...testCertificates(), allowHTTP1: true, maxSessionMemory: 1024 }, listener);
}

export function sendJson(
  response: TestResponse,
  code: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(code, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

export function sendStatus(response: TestResponse, code: number, reason: string, message = reason): void {
  sendJson(response, code, { kind: "Status", apiVersion: "v1", status: "Failure", reason, message, code });
}

export async function readBody(request: TestRequest): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
}
