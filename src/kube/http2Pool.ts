import { type ClientHttp2Session, type ClientHttp2Stream, constants, connect as http2Connect } from "node:http2";
import { type TLSSocket, connect as tlsConnect } from "node:tls";
import type { Clock } from "../clock.ts";
import { unlessAborted } from "./abort.ts";
import { NetworkError } from "./apiError.ts";
import { type Endpoint, toNetworkError } from "./endpoint.ts";
import type { Connector } from "./endpointConnector.ts";
import type { Call } from "./http1.ts";

/** kube-apiserver allows at least this many streams on a connection (`--http2-max-streams-per-connection`). */
const maxStreams = 250;
/** As client-go: a connection on which nothing came for this long is asked for a sign of life, ... */
const quietMs = 30_000;
/** ... and given up when none comes within this. */
const pingMs = 15_000;
const connectMs = 15_000;
/**
 * Bytes that a server may send ahead on one stream: a whole large object. The connection's window needs no care: Node
 * gives it back as data arrives, so a stream that nobody reads holds back no other.
 */
const streamWindow = 1 << 20;
/** In MB. Node's own limit of 10 refuses new streams while a few big objects are on their way. */
const maxSessionMemory = 1024;

interface Session {
  h2: ClientHttp2Session;
  socket: TLSSocket;
  streams: number;
  limit: number;
  /** Of the client certificate that it began with. */
  generation: number;
}

/**
 * Long streams over as few connections as the server allows. Connections are made on demand, and closed once no stream
 * has used them for a while.
 */
export class Http2Pool {
  readonly #connector: Connector;
  readonly #endpoint: Endpoint;
  readonly #clock: Clock;
  readonly #sessions = new Set<Session>();
  #connecting: Promise<void> | undefined;
  #supported: boolean;
  #closed = false;

  constructor(connector: Connector, clock: Clock) {
    this.#connector = connector;
    this.#endpoint = connector.endpoint;
    this.#clock = clock;
    this.#supported = this.#endpoint.secure;
  }

  /**
   * A stream on which the request was sent; undefined where the server speaks no HTTP/2.
   * @throws {NetworkError} where no connection can be made; the signal's reason
   */
  async open(call: Call, signal: AbortSignal): Promise<ClientHttp2Stream | undefined> {
    const session = await this.#acquire(call, signal);
    if (!session) return undefined;
    try {
      const stream = session.h2.request(
        { ...call.headers, ":method": call.method, ":path": this.#endpoint.basePath + call.target },
        { endStream: true },
      );
      stream.once("close", () => session.streams--);
      return stream;
    } catch (cause) {
      session.streams--;
      throw toNetworkError(call, this.#endpoint, cause);
    }
  }

  close(): void {
    this.#closed = true;
    const error = Object.assign(new Error("the client was closed"), { code: "CLOSED" });
    for (const { h2 } of this.#sessions) h2.destroy(error, constants.NGHTTP2_NO_ERROR);
  }

  /** A session with a stream counted for the caller. */
  async #acquire(call: Call, signal: AbortSignal): Promise<Session | undefined> {
    while (this.#supported) {
      if (this.#closed) throw new NetworkError(call, this.#endpoint.server, "CLOSED", "the client was closed");
      for (const session of this.#sessions) {
        if (session.generation !== this.#connector.generation) continue;
        if (session.streams < session.limit && !session.h2.closed && !session.h2.destroyed) {
          session.streams++;
          return session;
        }
      }
      this.#connecting ??= this.#connect().finally(() => {
        this.#connecting = undefined;
      });
      try {
        await unlessAborted(this.#connecting, signal);
      } catch (cause) {
        throw signal.aborted ? signal.reason : toNetworkError(call, this.#endpoint, cause);
      }
    }
    return undefined;
  }

  /** Resolves once a session is added, or once it is known that there will be none. */
  async #connect(): Promise<void> {
    const { host, port, server } = this.#endpoint;
    const tunnel = await this.#connector.tunnel();
    const { tls, generation } = this.#connector;
    return new Promise((resolve, reject) => {
      const way = tunnel ? { socket: tunnel } : { host, port };
      const socket = tlsConnect({ ...tls, ...way, ALPNProtocols: ["h2", "http/1.1"] });
      const settle = (error?: Error) => {
        cancelTimer();
        socket.off("error", settle);
        if (error) {
          socket.on("error", () => {});
          socket.destroy();
          reject(error);
        } else resolve();
      };
      const cancelTimer = this.#clock.after(connectMs, () =>
        settle(Object.assign(new Error(`no connection within ${connectMs / 1000} s`), { code: "TIMEOUT" })),
      );
      socket.setNoDelay(true);
      socket.on("error", settle);
      socket.once("secureConnect", () => {
        if (socket.alpnProtocol !== "h2") {
          this.#supported = false;
          socket.on("error", () => {});
          socket.destroy();
          return settle();
        }
        const h2 = http2Connect(server, {
          createConnection: () => socket,
          maxSessionMemory,
          settings: { enablePush: false, initialWindowSize: streamWindow },
        });
        h2.once("error", settle);
        h2.once("close", () => settle(Object.assign(new Error("closed by the server"), { code: "ECONNRESET" })));
        h2.once("remoteSettings", (settings) => {
          h2.off("error", settle);
          const limit = Math.max(1, Math.min(maxStreams, settings.maxConcurrentStreams ?? maxStreams));
          this.#add({ h2, socket, streams: 0, limit, generation });
          settle();
        });
      });
    });
  }

  #add(session: Session): void {
    const { h2 } = session;
    this.#sessions.add(session);
    const stopWatching = this.#keepAlive(session);
    h2.on("error", () => {}); // its streams report it
    h2.once("close", () => {
      stopWatching();
      this.#sessions.delete(session);
    });
    if (this.#closed) h2.destroy();
  }

  /** Closes the session when it is unused, destroys it when the peer is dead. */
  #keepAlive(session: Session): () => void {
    const { h2, socket } = session;
    let bytes = socket.bytesRead;
    let cancel = () => {};
    const onQuiet = () => {
      if (session.streams === 0) return h2.close();
      if (socket.bytesRead !== bytes) return rearm();
      const dead = Object.assign(new Error("the connection is dead: a ping got no answer"), { code: "TIMEOUT" });
      cancel = this.#clock.after(pingMs, () => h2.destroy(dead));
      h2.ping((error) => {
        cancel();
        if (!error) rearm();
      });
    };
    const rearm = () => {
      bytes = socket.bytesRead;
      cancel = this.#clock.after(quietMs, onQuiet);
    };
    rearm();
    return () => cancel();
  }
}
