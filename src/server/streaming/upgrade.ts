import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { HostletError } from "../../errors.ts";

/** Which of the two protocols that a node knows a request asks for. @throws {HostletError} ConfigInvalid */
export function upgradeOf(request: IncomingMessage): "spdy" | "websocket" {
  const wanted = (request.headers.upgrade ?? "").toLowerCase();
  if (wanted === "spdy/3.1") return "spdy";
  if (wanted === "websocket") return "websocket";
  throw new HostletError("ConfigInvalid", `unable to upgrade: ${JSON.stringify(wanted)} is not SPDY/3.1 or websocket`);
}

/** What a client offers in `X-Stream-Protocol-Version`, in its order. */
export function streamProtocols(request: IncomingMessage): string[] {
  const offered = request.headers["x-stream-protocol-version"];
  const text = Array.isArray(offered) ? offered.join(",") : (offered ?? "");
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

export function acceptSpdy(socket: Duplex, protocol: string | undefined): void {
  const lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: SPDY/3.1"];
  if (protocol !== undefined) lines.push(`X-Stream-Protocol-Version: ${protocol}`);
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
}

/** No protocol of a client's is known here. */
export function refuseProtocols(socket: Duplex, offered: readonly string[], known: readonly string[]): void {
  const text = `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(" ")}], server accepts [${known.join(" ")}]`;
  const lines = ["HTTP/1.1 403 Forbidden", "Connection: close", "Content-Type: text/plain; charset=utf-8"];
  for (const name of known) lines.push(`X-Accepted-Stream-Protocol-Versions: ${name}`);
  lines.push(`Content-Length: ${Buffer.byteLength(text)}`);
  socket.end(`${lines.join("\r\n")}\r\n\r\n${text}`);
}
