import type { Container, HTTPGetAction, IntOrString } from "../../kube/types.ts";

/** @throws {Error} where there is no such port */
export function resolvePort(port: IntOrString, container: Container): number {
  const number = typeof port === "number" ? port : portNamed(port, container);
  if (!Number.isInteger(number) || number < 1 || number > 65535) throw new Error(`invalid port number: ${number}`);
  return number;
}

function portNamed(name: string, container: Container): number {
  const port = container.ports?.find((p) => p.name === name);
  if (port) return port.containerPort;
  if (/^\d+$/.test(name)) return Number(name);
  throw new Error(`port "${name}": container "${container.name}" has no port of that name`);
}

/** What is asked of an HTTP server, with everything that the manifest leaves to the kubelet filled in. */
export interface HttpRequest {
  tls: boolean;
  host: string;
  port: number;
  /** Path and query, as they stand in the request. */
  path: string;
  /** In the order of the manifest; a header of `httpHeaders` replaces the default one. */
  headers: [name: string, value: string][];
}

/** @throws {Error} where the action can't be a request */
export function httpRequest(action: HTTPGetAction, container: Container, podIP: string, agent: string): HttpRequest {
  const tls = action.scheme?.toUpperCase() === "HTTPS";
  const host = action.host || podIP;
  const port = resolvePort(action.port, container);
  if (!/^[\w.:%-]+$/.test(host)) throw new Error(`host ${JSON.stringify(host)} is neither a name nor an address`);
  const given = (action.httpHeaders ?? []).map(({ name, value }): [string, string] => [name, value ?? ""]);
  for (const [name, value] of given) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[\0\r\n]/.test(value)) {
      throw new Error(`httpHeaders: "${name}" is not a header that can be sent`);
    }
  }
  const has = (name: string) => given.some(([other]) => other.toLowerCase() === name);
  const defaults: [string, string][] = [
    ["User-Agent", agent],
    ["Accept", "*/*"],
  ];
  return {
    tls,
    host,
    port,
    path: requestPath(action.path ?? "/"),
    headers: [...defaults.filter(([name]) => !has(name.toLowerCase())), ...given.filter(([, value]) => value !== "")],
  };
}

/** A path that leads to another host stays a path; what may not stand in a request line is percent-encoded. */
function requestPath(path: string): string {
  const [, before = "", query = ""] = /^([^?#]*)(\?[^#]*)?/.exec(path) ?? [];
  const url = new URL("http://host/");
  url.pathname = before;
  url.search = query;
  return url.pathname + url.search;
}
