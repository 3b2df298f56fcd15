import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { onAbort } from "../../kube/abort.ts";
import { type HttpResponse, HttpResponseReader } from "./httpResponse.ts";
import { dialError, failure, hostPort, type ProbeOutcome, streamError, success } from "./outcome.ts";
import type { HttpRequest } from "./target.ts";

const mostRedirects = 10;

/** 2xx and 3xx are a success; a redirect that leads to another host is not followed, and said. Certificates are not verified. */
export async function probeHttp(request: HttpRequest, signal: AbortSignal): Promise<ProbeOutcome> {
  let response: HttpResponse;
  try {
    response = await get(request, signal);
  } catch (error) {
    const why = signal.aborted
      ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
      : (error as Error).message;
    return failure(`Get ${JSON.stringify(urlOf(request))}: ${why}`);
  }
  const { status, body } = response;
  if (status < 200 || status >= 400) return failure(`HTTP probe failed with statuscode: ${status}`);
  if (status < 300) return success;
  return { result: "warning", output: `Probe terminated redirects, Response body: ${body}` };
}

/**
 * Follows redirects on the same host.
 * @throws {Error} where there is no answer
 */
export async function get(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  let current = request;
  for (let redirects = 0; ; redirects++) {
    const response = await exchange(current, signal);
    const next = redirect(current, response);
    if (!next || next.host !== request.host) return response;
    if (redirects === mostRedirects) throw new Error(`stopped after ${mostRedirects} redirects`);
    current = next;
  }
}

function redirect(request: HttpRequest, { status, location }: HttpResponse): HttpRequest | undefined {
  if (![301, 302, 303, 307, 308].includes(status) || !location) return undefined;
  let url: URL;
  try {
    url = new URL(location, urlOf(request));
  } catch {
    throw new Error(`failed to parse Location header ${JSON.stringify(location)}`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new Error(`unsupported protocol scheme ${JSON.stringify(url.protocol.slice(0, -1))}`);
  }
  const tls = url.protocol === "https:";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port) || (tls ? 443 : 80);
  // As browsers and Go's client do: a Host header of ours is meant for the first request.
  const headers = request.headers.filter(([name]) => name.toLowerCase() !== "host");
  return { tls, host, port, path: url.pathname + url.search, headers };
}

function urlOf({ tls, host, port, path }: HttpRequest): string {
  return `${tls ? "https" : "http"}://${hostPort(host, port)}${path}`;
}

/** One request on a connection of its own, which holds nothing of the container's for longer than that. */
function exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const { tls, host, port } = request;
    const socket: Socket = tls
      ? connectTls({ host, port, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] })
      : connect({ host, port, noDelay: true });
    const reader = new HttpResponseReader();
    let connected = false;
    const finish = (settle: () => void) => {
      forget();
      socket.destroy();
      settle();
    };
    const forget = onAbort(signal, () => finish(() => reject(signal.reason)));
    socket.once(tls ? "secureConnect" : "connect", () => {
      connected = true;
    });
    socket.on("data", (chunk: Buffer) => {
      try {
        const response = reader.push(chunk);
        if (response) finish(() => resolve(response));
      } catch (error) {
        finish(() => reject(error));
      }
    });
    socket.once("end", () => {
      try {
        const response = reader.end();
        finish(() => resolve(response));
      } catch (error) {
        finish(() => reject(error));
      }
    });
    socket.on("error", (error) => {
      const why = connected || tls ? streamError(error) : dialError(host, port, error);
      finish(() => reject(new Error(why, { cause: error })));
    });
    socket.write(head(request));
  });
}

function head({ tls, host, port, path, headers }: HttpRequest): string {
  const own = headers.some(([name]) => name.toLowerCase() === "host");
  const usual = port === (tls ? 443 : 80);
  const lines = [
    `GET ${path} HTTP/1.1`,
    ...(own ? [] : [`Host: ${usual && !host.includes(":") ? host : hostPort(host, port)}`]),
    ...headers.map(([name, value]) => `${name}: ${value}`),
    "Connection: close",
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}
