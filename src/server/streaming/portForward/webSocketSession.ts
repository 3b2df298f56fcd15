import type { WebSocket } from "ws";
import type { Clock } from "../../../clock.ts";
import { type ChannelCodec, WebSocketChannels } from "../websocket/channels.ts";
import { type Dial, forward } from "./forward.ts";

/** One connection for each port that the query names: channel 2n its data, 2n+1 its errors. */
export const portChannelProtocols: Readonly<Record<string, ChannelCodec>> = {
  "v4.channel.k8s.io": { base64: false, close: false },
  "v4.base64.channel.k8s.io": { base64: true, close: false },
};
export const oldestPortChannelProtocol = "v4.channel.k8s.io";

export async function servePortChannels(
  socket: WebSocket,
  protocol: string,
  ports: readonly number[],
  dial: Dial,
  clock: Clock,
): Promise<void> {
  const channels = new WebSocketChannels(socket, portChannelProtocols[protocol]!, clock);
  const connections = ports.map((port, i) => ({ port, data: channels.open(2 * i), error: channels.open(2 * i + 1) }));
  for (const { port, data, error } of connections) {
    // Each channel begins with its port.
    const number = Buffer.from([port & 0xff, port >> 8]);
    data.write(number);
    error.write(number);
  }
  await Promise.all(connections.map((connection) => forward(connection, dial)));
  await channels.end();
}
