import { isIP } from "node:net";
import { createSecureContext, type SecureContext } from "node:tls";
import { HostletError } from "../errors.ts";
import type { KeyPair } from "../pki/authority.ts";
import { NetworkError, type RequestName } from "./apiError.ts";
import type { ClientConfig } from "./clientConfig.ts";
import { type ProxyServer, proxyFor } from "./proxy.ts";

/** Where requests go, and by which way: a ClientConfig made ready for Node. */
export interface Endpoint {
  /** The URL as configured, for messages. */
  server: string;
  secure: boolean;
  host: string;
  port: number;
  /** Prefix of every path (a server behind a path of a proxy), without a slash at its end. */
  basePath: string;
  /** `host:port` of the URL, as the Host header wants it. */
  authority: string;
  /** Undefined: connections are made directly. */
  proxy: ProxyServer | undefined;
}

export interface TlsOptions {
  /** One context for all connections; handing over PEM texts instead makes https.Agent hash them for each request. */
  secureContext?: SecureContext;
  servername?: string;
  rejectUnauthorized?: boolean;
}

/**
 * @param env where a proxy may be named (see `proxyFor`)
 * @throws {HostletError} ConfigInvalid: the server is no http(s) URL, or the proxy can't be used
 */
export function toEndpoint(config: ClientConfig, env: NodeJS.ProcessEnv): Endpoint {
  const url = URL.canParse(config.server) ? new URL(config.server) : undefined;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw new HostletError("ConfigInvalid", `the API server's address is no https URL: ${config.server}`);
  }
  const secure = url.protocol === "https:";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return {
    server: config.server,
    secure,
    host,
    port: Number(url.port) || (secure ? 443 : 80),
    basePath: url.pathname.replace(/\/+$/, ""),
    authority: url.host,
    proxy: proxyFor(url, config.proxyUrl, env),
  };
}

/** @throws {HostletError} ConfigInvalid: certificates and key can't be used */
export function tlsOptions(config: ClientConfig, host: string, certificate: KeyPair | undefined): TlsOptions {
  const { ca } = config;
  let secureContext: SecureContext;
  try {
    secureContext = createSecureContext({ ...(ca ? { ca } : {}), ...certificate });
  } catch (cause) {
    const message = `the certificates and the key for ${config.server} can't be used: ${(cause as Error).message}`;
    throw new HostletError("ConfigInvalid", message, { cause });
  }
  const servername = config.tlsServerName ?? (isIP(host) ? undefined : host);
  return {
    secureContext,
    ...(servername ? { servername } : {}),
    ...(config.insecureSkipTlsVerify ? { rejectUnauthorized: false } : {}),
  };
}

/** What Node says of a broken connection, as a NetworkError that names request and server. */
export function toNetworkError(request: RequestName, endpoint: Endpoint, cause: unknown): NetworkError {
  if (cause instanceof NetworkError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  return new NetworkError(request, endpoint.server, code ?? "UNKNOWN", message || String(code), cause);
}
