import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { HostletError } from "../../../errors.ts";

/** Clients send pieces of some KiB; the limit is for one message. */
const longestMessage = 1024 * 1024;

/**
 * Answers the handshake of a WebSocket client.
 * @param protocol what the server has chosen of the client's subprotocols; undefined where it offered none
 */
export function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string | undefined,
): Promise<WebSocket> {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    maxPayload: longestMessage,
  });
  // `SPDY/3.1+portforward.k8s.io` is no token, as RFC 6455 would have it: ws must neither read nor write it.
  const { "sec-websocket-protocol": _offered, ...headers } = request.headers;
  const plain = Object.create(request, { headers: { value: headers } }) as IncomingMessage;
  if (protocol !== undefined) server.on("headers", (lines) => lines.push(`Sec-WebSocket-Protocol: ${protocol}`));
  return new Promise((resolve, reject) => {
    server.on("wsClientError", (error) =>
      reject(new HostletError("ConfigInvalid", `unable to upgrade: ${error.message}`)),
    );
    server.handleUpgrade(plain, socket, head, resolve);
  });
}

/** The subprotocols that a client offers, in its order. */
export function offeredProtocols(request: IncomingMessage): string[] {
  const offered = request.headers["sec-websocket-protocol"] ?? "";
  return offered
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
