import { type ClientRequest, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect, isIP, type Socket } from "node:net";
import { rootCertificates } from "node:tls";
import { onAbort } from "./abort.ts";
import type { ProxyServer } from "./proxy.ts";

export interface TunnelTarget {
  host: string;
  port: number;
}

/**
 * A connection to the target through the proxy, on which nothing was said yet.
 * @param ca PEM: trusted for an https proxy beside the public authorities
 * @throws {Error} with a `code`: Node's, or PROXY where the proxy refuses; the signal's reason
 */
export async function openTunnel(
  proxy: ProxyServer,
  target: TunnelTarget,
  ca: string | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  signal.throwIfAborted();
  return proxy.kind === "socks5" ? throughSocks(proxy, target, signal) : throughHttp(proxy, target, ca, signal);
}

function refused(proxy: ProxyServer, why: string): Error {
  return Object.assign(new Error(`the proxy ${proxy.name} ${why}`), { code: "PROXY" });
}

/** A proxy that can't be reached must not read like an API server that can't. */
function unreachable(proxy: ProxyServer, cause: NodeJS.ErrnoException): Error {
  const message = `the proxy ${proxy.name} can't be reached: ${cause.message || cause.code}`;
  return Object.assign(new Error(message, { cause }), { code: cause.code ?? "PROXY" });
}

/** RFC 9110 9.3.6. */
function throughHttp(
  proxy: ProxyServer,
  { host, port }: TunnelTarget,
  ca: string | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  const headers: Record<string, string> = { host: authority };
  if (proxy.auth !== undefined) {
    headers["proxy-authorization"] = `Basic ${Buffer.from(proxy.auth).toString("base64")}`;
  }
  const options = { host: proxy.host, port: proxy.port, method: "CONNECT", path: authority, headers, agent: false };
  return new Promise((resolve, reject) => {
    const request: ClientRequest =
      proxy.kind === "https"
        ? httpsRequest({ ...options, ...(ca ? { ca: [...rootCertificates, ca] } : {}) })
        : httpRequest(options);
    const ignoreAbort = onAbort(signal, () => fail(signal.reason));
    const fail = (cause: unknown) => {
      ignoreAbort();
      request.destroy();
      reject(cause);
    };
    request.on("error", (cause) => fail(unreachable(proxy, cause)));
    request.once("response", ({ statusCode, statusMessage }) =>
      fail(refused(proxy, `answered ${statusCode} ${statusMessage ?? ""} to CONNECT ${authority}`)),
    );
    request.once("connect", ({ statusCode, statusMessage }, socket: Socket, head: Buffer) => {
      if (statusCode !== 200) {
        socket.destroy();
        return fail(refused(proxy, `answered ${statusCode} ${statusMessage ?? ""} to CONNECT ${authority}`));
      }
      ignoreAbort();
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.end();
  });
}

const socksErrors = [
  "general failure",
  "not allowed by its rules",
  "network unreachable",
  "host unreachable",
  "connection refused",
  "timed out",
];

/** RFC 1928, with the password of RFC 1929; the proxy resolves names. */
async function throughSocks(proxy: ProxyServer, { host, port }: TunnelTarget, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ host: proxy.host, port: proxy.port });
  let error: Error | undefined;
  socket.once("error", (cause) => {
    error = unreachable(proxy, cause);
  });
  const ignoreAbort = onAbort(signal, () => socket.destroy());
  const take = async (length: number): Promise<Buffer> => {
    for (;;) {
      const bytes: Buffer | null = length === 0 ? Buffer.alloc(0) : socket.read(length);
      if (bytes?.length === length) return bytes;
      if (socket.destroyed || socket.readableEnded || bytes) {
        throw signal.aborted ? signal.reason : (error ?? refused(proxy, "closed the connection"));
      }
      await new Promise<void>((resolve) => {
        const wake = () => {
          socket.off("readable", wake).off("end", wake).off("close", wake);
          resolve();
        };
        socket.on("readable", wake).on("end", wake).on("close", wake);
      });
    }
  };
  try {
    const [user, password] = splitAuth(proxy.auth);
    socket.write(Buffer.from(proxy.auth === undefined ? [5, 1, 0] : [5, 2, 0, 2]));
    const method = (await take(2))[1];
    if (method === 2) {
      socket.write(Buffer.concat([Buffer.from([1, user.length]), user, Buffer.from([password.length]), password]));
      if ((await take(2))[1] !== 0) throw refused(proxy, "does not accept the user or password");
    } else if (method !== 0) throw refused(proxy, "wants a user and password");
    const name = Buffer.from(host);
    socket.write(Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name, Buffer.from([port >> 8, port & 0xff])]));
    const [, reply = 0, , kind, first = 0] = await take(5);
    if (reply !== 0) throw refused(proxy, `can't reach ${host}:${port}: ${socksErrors[reply - 1] ?? `error ${reply}`}`);
    await take((kind === 1 ? 3 : kind === 4 ? 15 : first) + 2);
    return socket;
  } catch (cause) {
    socket.on("error", () => {}).destroy();
    throw cause;
  } finally {
    ignoreAbort();
  }
}

function splitAuth(auth = ":"): [Buffer, Buffer] {
  const at = auth.indexOf(":");
  return [Buffer.from(auth.slice(0, at)).subarray(0, 255), Buffer.from(auth.slice(at + 1)).subarray(0, 255)];
}
