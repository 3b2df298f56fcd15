import type { Duplex } from "node:stream";
import type { Clock } from "../../../clock.ts";
import { HostletError } from "../../../errors.ts";
import type { Status } from "../../../kube/types.ts";
import { SpdyConnection } from "../spdy/connection.ts";
import type { SpdyStream } from "../spdy/stream.ts";
import { formatStatus } from "../status.ts";
import type { RemoteChannels, WantedStreams } from "./channels.ts";

/** `X-Stream-Protocol-Version`, with the version that it stands for; the client's first that is here is taken. */
export const spdyProtocols: Readonly<Record<string, number>> = {
  "v4.channel.k8s.io": 4,
  "v3.channel.k8s.io": 3,
  "v2.channel.k8s.io": 2,
  "channel.k8s.io": 1,
};

export const streamCreationMs = 30_000;

/**
 * Waits for the streams that a client of this version opens.
 * @throws {HostletError} ConfigInvalid: not in time, or the client is gone
 */
export function openSpdyChannels(
  socket: Duplex,
  head: Buffer,
  version: number,
  wanted: WantedStreams,
  clock: Clock,
): Promise<RemoteChannels> {
  const names = new Set(["error"]);
  if (wanted.stdin) names.add("stdin");
  if (wanted.stdout) names.add("stdout");
  if (wanted.stderr) names.add("stderr");
  if (wanted.tty && version >= 3) names.add("resize");
  const streams = new Map<string, SpdyStream>();
  return new Promise((resolve, reject) => {
    const connection = new SpdyConnection(socket, head, {
      clock,
      maxStreams: names.size,
      opened(stream) {
        const name = stream.headers.get("streamtype") ?? "";
        if (!names.has(name) || streams.has(name)) throw new Error(`no stream ${name} is expected`);
        streams.set(name, stream);
        if (streams.size < names.size) return;
        cancel();
        resolve(new SpdyChannels(connection, streams, version));
      },
    });
    const cancel = clock.after(streamCreationMs, () => {
      connection.destroy();
      reject(new HostletError("ConfigInvalid", "timed out waiting for the client to create its streams"));
    });
    void connection.closed.then(() => {
      cancel();
      reject(new HostletError("ConfigInvalid", "the client went away before it had created its streams"));
    });
  });
}

class SpdyChannels implements RemoteChannels {
  readonly stdin?: SpdyStream;
  readonly stdout?: SpdyStream;
  readonly stderr?: SpdyStream;
  readonly resize?: SpdyStream;
  readonly #connection: SpdyConnection;
  readonly #error: SpdyStream;
  readonly #version: number;

  constructor(connection: SpdyConnection, streams: ReadonlyMap<string, SpdyStream>, version: number) {
    this.#connection = connection;
    this.#version = version;
    this.#error = streams.get("error")!;
    for (const name of ["stdin", "stdout", "stderr", "resize"] as const) {
      const stream = streams.get(name);
      if (stream) this[name] = stream;
    }
    // What a client says on those it says to nobody.
    for (const stream of [this.#error, this.stdout, this.stderr]) stream?.resume();
  }

  async finish(status: Status): Promise<void> {
    const text = formatStatus(status, this.#version);
    if (text !== "") this.#error.write(text);
    await new Promise<void>((resolve) => {
      void this.#connection.closed.then(resolve);
      this.#error.end(resolve);
    });
    this.#connection.end();
    await this.#connection.closed;
  }
}
