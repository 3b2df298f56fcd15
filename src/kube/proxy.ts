import { BlockList, isIP } from "node:net";
import { HostletError } from "../errors.ts";

/** Through what connections go. */
export interface ProxyServer {
  kind: "http" | "https" | "socks5";
  host: string;
  port: number;
  /** `user:password` of the URL, decoded. Never in a message. */
  auth?: string;
  /** For messages: the URL without what it says of a user. */
  name: string;
}

const defaultPorts = { http: 80, https: 443, socks5: 1080 } as const;

/**
 * The proxy for connections to `server`. A kubeconfig's `proxy-url` holds without exception; otherwise the environment
 * decides as for Go's programs (golang.org/x/net/http/httpproxy): HTTPS_PROXY, and NO_PROXY against it; names in upper case go
 * first; localhost and loopback addresses are never asked for through a proxy. For an `http://` server HTTP_PROXY takes its place.
 * @throws {HostletError} ConfigInvalid: no proxy that we can use; the URL itself, which may hold a password, is not quoted
 */
export function proxyFor(server: URL, proxyUrl: string | undefined, env: NodeJS.ProcessEnv): ProxyServer | undefined {
  if (proxyUrl !== undefined) return parseProxy(proxyUrl, "the kubeconfig's proxy-url");
  const variable = server.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const text = fromEnvironment(env, variable);
  const port = server.port || (server.protocol === "https:" ? "443" : "80");
  if (text === undefined || isExempt(hostOf(server), port, fromEnvironment(env, "NO_PROXY") ?? "")) return undefined;
  return parseProxy(text, variable);
}

function fromEnvironment(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return env[name] || env[name.toLowerCase()] || undefined;
}

/** @param what names the setting in messages */
export function parseProxy(text: string, what: string): ProxyServer {
  const fail = (why: string): never => {
    throw new HostletError("ConfigInvalid", `${what} ${why}; it has to be like http://proxy.example.org:3128`);
  };
  const full = text.includes("://") ? text : `http://${text}`;
  if (!URL.canParse(full)) return fail("is no URL");
  const url = new URL(full);
  const kind = url.protocol.slice(0, -1);
  if (kind !== "http" && kind !== "https" && kind !== "socks5") {
    return fail(`is of the kind ${kind}, but http, https and socks5 are what is supported`);
  }
  const host = hostOf(url);
  if (host === "") return fail("names no host");
  const port = Number(url.port) || defaultPorts[kind];
  const proxy: ProxyServer = { kind, host, port, name: `${kind}://${url.hostname}:${port}` };
  if (url.username === "" && url.password === "") return proxy;
  try {
    return { ...proxy, auth: `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` };
  } catch {
    return fail("has a user or password with a % that encodes nothing");
  }
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

/**
 * Whether NO_PROXY exempts this host: `*`, addresses, networks (10.0.0.0/8), and names, which include all names below
 * them, or only those below with a dot (or `*.`) in front; a port after either limits it to that port.
 */
export function isExempt(host: string, port: string, noProxy: string): boolean {
  const name = host.toLowerCase();
  const family = isIP(name);
  if (name === "localhost" || (family && contains(family === 4 ? "127.0.0.0/8" : "::1/128", name))) return true;
  return noProxy
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "")
    .some((entry) => entry === "*" || matches(entry, name, family, port));
}

function matches(entry: string, host: string, family: number, port: string): boolean {
  if (entry.includes("/")) return family !== 0 && contains(entry, host);
  const [pattern, wantedPort] = splitPort(entry);
  if (pattern === "" || (wantedPort !== "" && wantedPort !== port)) return false;
  const patternFamily = isIP(pattern);
  if (family || patternFamily)
    return family === patternFamily && contains(`${pattern}/${family === 4 ? 32 : 128}`, host);
  const below = pattern.replace(/^\*\./, ".");
  return below.startsWith(".") ? host.endsWith(below) : host === below || host.endsWith(`.${below}`);
}

function splitPort(entry: string): [string, string] {
  const [, bracketed, port] = /^\[([^\]]*)\](?::(\d*))?$/.exec(entry) ?? [];
  if (bracketed !== undefined) return [bracketed, port ?? ""];
  if (isIP(entry)) return [entry, ""];
  const at = entry.lastIndexOf(":");
  return at < 0 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
}

function contains(network: string, address: string): boolean {
  const [base = "", bits = ""] = network.split("/");
  const family = isIP(base);
  const prefix = /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
  if (family === 0 || family !== isIP(address) || prefix < 0 || prefix > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(base, prefix, family === 4 ? "ipv4" : "ipv6");
  return list.check(address, family === 4 ? "ipv4" : "ipv6");
}
