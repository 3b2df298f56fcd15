import type { Duplex } from "node:stream";

/** Opens a connection to a port of the pod. */
export type Dial = (port: number, signal: AbortSignal) => Promise<Duplex>;

/** Where a client's connection to a port goes to and fro, and where it is told what went wrong. */
export interface ForwardedConnection {
  port: number;
  data: Duplex;
  error: Duplex;
}

/** Carries one connection until both sides have said all, or one is gone. What goes wrong is told on its error stream. */
export async function forward({ port, data, error }: ForwardedConnection, dial: Dial): Promise<void> {
  const gone = new AbortController();
  data.once("close", () => gone.abort());
  error.resume();
  try {
    const connection = await dial(port, gone.signal);
    await join(data, connection);
  } catch (cause) {
    // A client that is gone hears nothing any more.
    if (!error.destroyed) error.write(`an error occurred forwarding port ${port}: ${(cause as Error).message}`);
    data.end();
    data.resume();
  }
  error.end();
}

/** Each side's end is told to the other, which may go on for itself; with one side gone both are. */
function join(client: Duplex, pod: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    let open = 2;
    const over = () => {
      if (--open === 0) resolve();
    };
    client.pipe(pod);
    pod.pipe(client);
    pod.on("error", (error) => reject(new Error(`the connection to the pod broke: ${error.message}`)));
    pod.once("close", () => {
      // A pod that is gone before its end broke off; the client must not take what it has for all.
      if (!pod.readableEnded) client.destroy();
      over();
    });
    client.once("close", () => {
      pod.destroy();
      over();
    });
  });
}

/** @returns undefined where it is none */
export function parsePort(text: string | undefined): number | undefined {
  const port = /^\d{1,5}$/.test(text ?? "") ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}
