import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { HostletError } from "../../errors.ts";

/** Where an interLink API server or plugin listens. */
export interface EndpointOptions {
  /** `http://host:port`, `https://host:port`, `unix:/path` or `unix:///path`. */
  url: string;
  /** PEM files of a TLS connection; each is read again for each connection, as certificates are renewed. */
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
  /** A bearer token, read again for each request. */
  tokenFile?: string | undefined;
  /** The certificate isn't verified. */
  insecure?: boolean | undefined;
}

export interface Endpoint {
  readonly url: string;
  readonly secure: boolean;
  /** For node:http and node:https. */
  connection(): RequestOptions;
  /** @throws {HostletError} ConfigInvalid: a file that can't be read */
  headers(): Record<string, string>;
  /** Put in front of every path. */
  readonly prefix: string;
}

/** @throws {HostletError} ConfigInvalid */
export function parseEndpoint(options: EndpointOptions, what: string): Endpoint {
  const { url } = options;
  const socket = /^unix:(?:\/\/)?(\/.*)$/.exec(url)?.[1];
  const headers = () => (options.tokenFile ? { authorization: `Bearer ${read(options.tokenFile, what).trim()}` } : {});
  if (socket !== undefined) {
    return { url, secure: false, prefix: "", headers, connection: () => ({ socketPath: socket, host: "unix" }) };
  }
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) {
    throw new HostletError(
      "ConfigInvalid",
      `${what}: must be http://HOST:PORT, https://HOST:PORT or unix:/PATH, not ${JSON.stringify(url)}`,
    );
  }
  const secure = parsed.protocol === "https:";
  const base: RequestOptions = {
    host: parsed.hostname.replace(/^\[|\]$/g, ""),
    port: parsed.port || (secure ? 443 : 80),
  };
  return {
    url,
    secure,
    prefix: parsed.pathname.replace(/\/$/, ""),
    headers,
    connection() {
      if (!secure) return base;
      const { caFile, certFile, keyFile, insecure } = options;
      return {
        ...base,
        ...(caFile && { ca: read(caFile, what) }),
        ...(certFile && { cert: read(certFile, what) }),
        ...(keyFile && { key: read(keyFile, what) }),
        ...(insecure && { rejectUnauthorized: false }),
      };
    },
  };
}

function read(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new HostletError("ConfigInvalid", `${what}: ${file} can't be read: ${(cause as Error).message}`, { cause });
  }
}
