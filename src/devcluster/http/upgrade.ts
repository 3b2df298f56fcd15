import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { User } from "../auth.ts";
import type { Api } from "../rest/api.ts";
import { forwardedHeaders, isConnect, kubeletLocation } from "../rest/connect.ts";
import { kubeletRequest, unreachable } from "../rest/kubelet.ts";
import { parseTarget } from "../rest/target.ts";
import { badRequest, internalError, StatusError, unauthorized } from "../status.ts";

/**
 * Passes a request that asks for another protocol (SPDY/3.1, WebSocket) on to a kubelet API, and from the kubelet's yes on
 * the bytes of both sides. Whatever else the kubelet answers goes to the client as it is.
 */
export function passUpgrade(
  api: Api,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  user: User | undefined,
): void {
  const gone = new AbortController();
  client.once("close", () => gone.abort());
  client.on("error", () => client.destroy());
  let url: URL;
  try {
    if (!user) throw unauthorized();
    url = locate(api, request);
  } catch (error) {
    refuse(client, error instanceof StatusError ? error : internalError(error));
    return;
  }
  api.log.trace({ method: request.method, url: request.url, user: user.username }, "upgrade");
  const headers = forwardedHeaders(request.headers);
  const outgoing = kubeletRequest(url, api.kubelet, { method: request.method ?? "GET", headers, signal: gone.signal });
  outgoing.on("error", (error) => refuse(client, unreachable(url, error)));
  outgoing.on("upgrade", (response, kubelet, first) => {
    client.write(headText(response, response.rawHeaders));
    client.write(first);
    kubelet.write(head);
    join(client, kubelet);
  });
  outgoing.on("response", (response) => {
    const kept = pairs(response.rawHeaders).filter(
      ([name]) => !["connection", "transfer-encoding", "keep-alive"].includes(name.toLowerCase()),
    );
    client.write(headText(response, [...kept.flat(), "Connection", "close"]));
    response.on("error", () => client.destroy());
    response.pipe(client);
  });
  outgoing.end();
}

function locate(api: Api, { method = "GET", url = "/" }: IncomingMessage): URL {
  const mark = url.indexOf("?");
  const path = mark < 0 ? url : url.slice(0, mark);
  const target = parseTarget(path);
  if (!target || !isConnect(target)) throw badRequest(`${path} can't be upgraded to another protocol`);
  return kubeletLocation(api, target, { method, path, query: new URLSearchParams(mark < 0 ? "" : url.slice(mark)) });
}

/** Both ways; what one side has said before its end reaches the other. */
function join(client: Duplex, kubelet: Duplex): void {
  kubelet.pipe(client);
  client.pipe(kubelet);
  client.once("close", () => kubelet.destroy());
  kubelet.on("error", () => client.destroy());
  kubelet.once("close", () => {
    if (!kubelet.readableEnded) client.destroy();
  });
}

function refuse(client: Duplex, { status }: StatusError): void {
  const body = JSON.stringify(status);
  const length = String(Buffer.byteLength(body));
  const headers = ["Content-Type", "application/json", "Content-Length", length, "Connection", "close"];
  client.end(headText({ statusCode: status.code, statusMessage: status.reason }, headers) + body);
}

function headText({ statusCode, statusMessage }: Partial<IncomingMessage>, rawHeaders: string[]): string {
  const lines = pairs(rawHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${statusCode} ${statusMessage ?? ""}\r\n${lines.join("")}\r\n`;
}

function pairs(rawHeaders: string[]): [string, string][] {
  return rawHeaders.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? ""]] : []));
}
