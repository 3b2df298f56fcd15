import type { Server } from "node:https";
import type { Socket } from "node:net";

/**
 * Bounds the connections of those who have not said yet who they are: the oldest goes where there are too many, so that
 * a crowd that opens connections and says nothing can't keep out those who do.
 */
export class Newcomers {
  readonly #most: number;
  /** By the client's address and port, in the order of their coming. */
  readonly #sockets = new Map<string, Socket>();

  constructor(most: number) {
    this.#most = most;
  }

  watch(server: Server): void {
    server.on("connection", (socket: Socket) => this.came(socket));
  }

  came(socket: Socket): void {
    const key = keyOf(socket);
    this.#sockets.set(key, socket);
    socket.once("close", () => {
      if (this.#sockets.get(key) === socket) this.#sockets.delete(key);
    });
    if (this.#sockets.size <= this.#most) return;
    const [oldest] = this.#sockets.values();
    this.#sockets.delete(keyOf(oldest!));
    oldest!.destroy();
  }

  /** This client is known. @param socket the TLS connection, or the one below it */
  known(socket: Socket): void {
    this.#sockets.delete(keyOf(socket));
  }

  get size(): number {
    return this.#sockets.size;
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
