import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { Clock } from "../../../clock.ts";
import type { Status } from "../../../kube/types.ts";
import { formatStatus } from "../status.ts";
import { type ChannelCodec, WebSocketChannels } from "../websocket/channels.ts";
import type { RemoteChannels, WantedStreams } from "./channels.ts";

/** Subprotocols; a client that names none speaks the oldest. */
export const webSocketProtocols: Readonly<Record<string, ChannelCodec & { version: number }>> = {
  "v5.channel.k8s.io": { version: 5, base64: false, close: true },
  "v4.channel.k8s.io": { version: 4, base64: false, close: false },
  "v4.base64.channel.k8s.io": { version: 4, base64: true, close: false },
  "channel.k8s.io": { version: 1, base64: false, close: false },
  "base64.channel.k8s.io": { version: 1, base64: true, close: false },
};
export const oldestWebSocketProtocol = "channel.k8s.io";

export function openWebSocketChannels(
  socket: WebSocket,
  protocol: string,
  wanted: WantedStreams,
  clock: Clock,
): RemoteChannels {
  const { version, ...codec } = webSocketProtocols[protocol]!;
  const channels = new WebSocketChannels(socket, codec, clock);
  const error = channels.open(3);
  const streams: { stdin?: Duplex; stdout?: Duplex; stderr?: Duplex; resize?: Duplex } = {};
  if (wanted.stdin) streams.stdin = channels.open(0);
  if (wanted.stdout) streams.stdout = channels.open(1);
  if (wanted.stderr) streams.stderr = channels.open(2);
  if (wanted.tty && version >= 4) streams.resize = channels.open(4);
  for (const stream of [error, streams.stdout, streams.stderr]) stream?.resume();
  // The kubelet says so that it is there, on the first channel that it writes to.
  (streams.stdout ?? streams.stderr ?? error).write(Buffer.alloc(0));
  return {
    ...streams,
    async finish(status: Status) {
      const text = formatStatus(status, version);
      if (text !== "") await new Promise<void>((resolve) => error.write(text, () => resolve()));
      await channels.end();
    },
  };
}
