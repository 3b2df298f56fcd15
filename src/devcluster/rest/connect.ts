import { once } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import type { Exchange } from "../http/exchange.ts";
import { badRequest, methodNotAllowed } from "../status.ts";
import type { Api } from "./api.ts";
import { chosenContainer, findPod, kubeletAddress, kubeletRequest, unreachable } from "./kubelet.ts";
import type { Target } from "./target.ts";

const streaming = new Set(["exec", "attach", "portforward"]);

export function isConnect(target: Target): boolean {
  return target.subresource === "proxy" || streaming.has(target.subresource ?? "");
}

/**
 * Where a node's kubelet API serves what is asked for: of a pod exec, attach or portforward, of a node anything
 * (pkg/registry/core/{pod,node}/strategy.go).
 * @throws {StatusError} 400, 404, 405, 500
 */
export function kubeletLocation(
  api: Api,
  target: Target,
  request: { method: string; path: string; query: URLSearchParams },
): URL {
  const { namespace = "", name = "", subresource = "" } = target;
  if (subresource === "proxy") {
    const rest = request.path.split("/").slice(6).join("/");
    return located(kubeletAddress(api, name), `/${rest}`, request.query);
  }
  if (request.method !== "GET" && request.method !== "POST") throw methodNotAllowed();
  const pod = findPod(api, namespace, name);
  const container =
    subresource === "portforward" ? undefined : chosenContainer(pod, name, request.query.get("container") ?? "");
  if (!pod.spec?.nodeName) throw badRequest(`pod ${name} does not have a host assigned`);
  const base = kubeletAddress(api, pod.spec.nodeName);
  if (container === undefined) return located(base, `/portForward/${namespace}/${name}`, portQuery(request.query));
  return located(base, `/${subresource}/${namespace}/${name}/${container}`, streamQuery(request.query));
}

function located(base: string, path: string, query: URLSearchParams): URL {
  const url = new URL(base);
  url.pathname = path;
  url.search = query.toString();
  return url;
}

/** The API's names of the streams, and the kubelet's. */
const streamNames = { stdin: "input", stdout: "output", stderr: "error", tty: "tty" };

function streamQuery(query: URLSearchParams): URLSearchParams {
  const result = new URLSearchParams();
  for (const [asked, told] of Object.entries(streamNames)) {
    if (["true", "1"].includes(query.get(asked) ?? "")) result.set(told, "1");
  }
  for (const word of query.getAll("command")) result.append("command", word);
  return result;
}

function portQuery(query: URLSearchParams): URLSearchParams {
  const ports = query.getAll("ports");
  return ports.length === 0 ? new URLSearchParams() : new URLSearchParams({ port: ports.join(",") });
}

/** What is between two neighbours only, and who asks: the kubelet is shown the API server's own certificate. */
const ownHeaders = ["authorization", "host", "transfer-encoding", "http2-settings"];

export function forwardedHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !name.startsWith(":") && !ownHeaders.includes(name)),
  );
}

/** A request for a node's kubelet API that asks for no upgrade. @throws {StatusError} */
export async function proxyToKubelet(api: Api, target: Target, exchange: Exchange): Promise<void> {
  const url = kubeletLocation(api, target, exchange);
  if (target.subresource !== "proxy") throw badRequest("Upgrade request required");
  const { connection: _hop, ...headers } = forwardedHeaders(exchange.headers);
  const body = await exchange.body();
  const { method, signal } = exchange;
  const outgoing = kubeletRequest(url, api.kubelet, { method, headers, signal });
  outgoing.end(body);
  const [response] = (await once(outgoing, "response").catch((error: Error) => {
    throw unreachable(url, error);
  })) as [IncomingMessage];
  exchange.start(response.headers["content-type"] ?? "text/plain", response.statusCode);
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (!exchange.write(chunk)) await exchange.drained();
    if (signal.aborted) break;
  }
  exchange.end();
}
