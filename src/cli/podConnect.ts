import { connect } from "node:net";
import { HostletError } from "../errors.ts";
import type { Io } from "./console.ts";

/** `hostlet pod-connect PORT`: says `connected` on standard error, then passes bytes both ways until one side is done. */
export function podConnect(text: string, io: Io): Promise<number> {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new HostletError("ConfigInvalid", `${JSON.stringify(text)} is not a port`);
  return new Promise((resolve) => {
    const socket = connect({ host: "localhost", port, allowHalfOpen: true });
    socket.once("connect", () => {
      io.stderr.write("connected\n");
      process.stdin.pipe(socket);
      socket.pipe(process.stdout);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      io.stderr.write(`${error.code === "ECONNREFUSED" ? "connection refused" : error.message}\n`);
      resolve(1);
    });
    socket.once("close", () => {
      process.stdin.unref();
      resolve(0);
    });
  });
}
