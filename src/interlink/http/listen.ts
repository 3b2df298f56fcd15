import { chmodSync, lstatSync, mkdirSync, readFileSync, statSync, unlinkSync } from "node:fs";
import { createServer as createHttpServer, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect } from "node:net";
import { dirname } from "node:path";
import { HostletError } from "../../errors.ts";

/** Where a server of ours listens: a unix socket, or TCP. */
export type Address = { socket: string } | { host: string; port: number };

export interface TlsFiles {
  certFile: string;
  keyFile: string;
  /** Clients must show a certificate of this CA. */
  caFile?: string | undefined;
}

export interface ListenOptions {
  address: Address;
  tls?: TlsFiles | undefined;
  /** Requests are asked for a token. */
  authenticated: boolean;
  /** Others on this host, or on the network, may do what they like: somebody decided so. */
  insecure: boolean;
  what: string;
}

/** `unix:/path`, `HOST:PORT`, `:PORT`, `http(s)://HOST:PORT`. @throws {HostletError} ConfigInvalid */
export function parseAddress(text: string, what: string): Address {
  const socket = /^unix:(?:\/\/)?(\/.+)$/.exec(text)?.[1];
  if (socket !== undefined) return { socket };
  const found = /^(?:https?:\/\/)?(\[[0-9a-fA-F:.]+\]|[^:/[\]]*):(\d{1,5})\/?$/.exec(text);
  const port = Number(found?.[2]);
  if (!found || !(port <= 65_535)) {
    throw new HostletError("ConfigInvalid", `${what}: must be unix:/PATH or HOST:PORT, not ${JSON.stringify(text)}`);
  }
  return { host: found[1]!.replace(/^\[|\]$/g, "") || "0.0.0.0", port };
}

/**
 * Who can reach a server of ours can run pods: a unix socket is for this user alone; TCP wants a client certificate or a token, on loopback
 * too, as every user of a login node is there. @throws {HostletError} ConfigInvalid
 */
export function checkListener({ address, tls, authenticated, insecure, what }: ListenOptions): void {
  if (insecure || "socket" in address) return;
  if (tls?.caFile || (tls && authenticated)) return;
  const where = `${address.host}:${address.port}`;
  if (authenticated && isLoopback(address.host)) return;
  throw new HostletError(
    "ConfigInvalid",
    `${what}: whoever reaches ${where} could run programs here as this user. Listen on a unix socket, or with TLS and a CA for clients, or with TLS and a token; --insecure-listen takes it as it is`,
  );
}

/** @throws {HostletError} ConfigInvalid, ListenFailed */
export async function listen(options: ListenOptions): Promise<{ server: Server; port: number | undefined }> {
  checkListener(options);
  const { address, tls, what } = options;
  const server: Server = tls
    ? createHttpsServer({
        cert: read(tls.certFile, what),
        key: read(tls.keyFile, what),
        minVersion: "TLSv1.2",
        ...(tls.caFile && { ca: read(tls.caFile, what), requestCert: true, rejectUnauthorized: true }),
      })
    : createHttpServer();
  if ("socket" in address) await prepareSocket(address.socket, what);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const where = "socket" in address ? address.socket : `${address.host}:${address.port}`;
      const why = cause.code === "EADDRINUSE" ? "it is in use" : cause.message;
      reject(new HostletError("ListenFailed", `${what} can't listen on ${where}: ${why}`, { cause }));
    });
    if (!("socket" in address)) server.listen(address.port, address.host, resolve);
    else {
      // The socket is made under this mask, so that nobody connects between bind and chmod.
      const mask = process.umask(0o177);
      try {
        server.listen(address.socket, resolve);
      } finally {
        process.umask(mask);
      }
    }
  });
  if ("socket" in address) chmodSync(address.socket, 0o600);
  const bound = server.address();
  return { server, port: typeof bound === "object" && bound !== null ? bound.port : undefined };
}

/** Makes the directory, and takes away a socket that a killed server left; a living one's, or another file, stays. */
async function prepareSocket(path: string, what: string): Promise<void> {
  if (Buffer.byteLength(path) > 107) {
    throw new HostletError("ListenFailed", `${what}: ${path} has more than 107 bytes, a socket's path can't`);
  }
  const dir = dirname(path);
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const { mode } = statSync(dir);
    if (mode & 0o022 && !(mode & 0o1000)) throw new Error(`others may write to ${dir}`);
  } catch (cause) {
    throw new HostletError("ListenFailed", `${what} can't listen on ${path}: ${(cause as Error).message}`, { cause });
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) throw new HostletError("ListenFailed", `${what}: ${path} exists and is no socket`);
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", () => resolve(false));
  });
  if (alive) throw new HostletError("ListenFailed", `${what} can't listen on ${path}: it is in use`);
  unlinkSync(path);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function read(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new HostletError("ConfigInvalid", `${what}: ${file} can't be read: ${(cause as Error).message}`, { cause });
  }
}
