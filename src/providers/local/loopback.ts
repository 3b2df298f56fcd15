import { once } from "node:events";
import { connect, type Socket } from "node:net";

const connectDeadline = 10_000;

/**
 * A connection to a port on loopback, of the network that the pods of this host share: by IPv4, else by IPv6. The caller may
 * shut down its sending side and go on receiving.
 * @param hosts of a pod with a network of its own: its address
 * @throws an error with the port in its message
 */
export async function connectToLoopback(
  port: number,
  signal: AbortSignal,
  hosts: readonly string[] = ["127.0.0.1", "::1"],
): Promise<Socket> {
  const why: string[] = [];
  for (const host of hosts) {
    signal.throwIfAborted();
    const socket = connect({ host, port, allowHalfOpen: true });
    try {
      await once(socket, "connect", { signal: AbortSignal.any([signal, AbortSignal.timeout(connectDeadline)]) });
      socket.setNoDelay(true);
      return socket;
    } catch (error) {
      socket.on("error", () => {});
      socket.destroy();
      signal.throwIfAborted();
      const { code, message } = error as NodeJS.ErrnoException;
      why.push(
        `${host.includes(":") ? `[${host}]` : host}:${port}: ${code === "ECONNREFUSED" ? "connection refused" : message}`,
      );
    }
  }
  throw new Error(`failed to connect to port ${port} of the pod: ${why.join(", ")}`);
}
