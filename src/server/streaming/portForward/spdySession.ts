import type { Duplex } from "node:stream";
import type { Clock } from "../../../clock.ts";
import { streamCreationMs } from "../remoteCommand/spdyChannels.ts";
import { SpdyConnection } from "../spdy/connection.ts";
import type { SpdyStream } from "../spdy/stream.ts";
import { type Dial, forward, parsePort } from "./forward.ts";

export const portForwardProtocol = "portforward.k8s.io";

/** Two for each connection of a client's. */
const mostStreams = 2000;

interface Pair {
  data?: SpdyStream;
  error?: SpdyStream;
  cancel: () => void;
}

/**
 * Forwards connections for one client until it goes. For each it opens two streams of one `requestid`: `error` first, then
 * `data`; both name the port.
 */
export async function servePortForward(transport: Duplex, head: Buffer, dial: Dial, clock: Clock): Promise<void> {
  const pairs = new Map<string, Pair>();
  const connection = new SpdyConnection(transport, head, {
    clock,
    maxStreams: mostStreams,
    opened(stream) {
      const type = stream.headers.get("streamtype");
      const port = parsePort(stream.headers.get("port"));
      if ((type !== "data" && type !== "error") || port === undefined) throw new Error("not a stream of a port");
      const id = requestID(stream, type);
      const pair = pairs.get(id) ?? begin(id);
      if (pair[type]) throw new Error(`the ${type} stream of request ${id} is opened twice`);
      pair[type] = stream;
      if (!pair.data || !pair.error) return;
      pair.cancel();
      pairs.delete(id);
      void forward({ port, data: pair.data, error: pair.error }, dial);
    },
  });
  const begin = (id: string): Pair => {
    const cancel = clock.after(streamCreationMs, () => {
      const { data, error } = pairs.get(id) ?? {};
      pairs.delete(id);
      error?.end(`timed out waiting for the streams of request ${id}`);
      data?.destroy();
    });
    const pair: Pair = { cancel };
    pairs.set(id, pair);
    return pair;
  };
  await connection.closed;
  for (const { cancel } of pairs.values()) cancel();
}

/** Clients of before 1.3 name none: their data stream is the next after its error stream. */
function requestID(stream: SpdyStream, type: "data" | "error"): string {
  return stream.headers.get("requestid") ?? `stream ${type === "error" ? stream.id : stream.id - 2}`;
}
