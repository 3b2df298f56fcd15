import type { Duplex } from "node:stream";
import type { UpgradeHandler } from "../http/exchange.ts";
import { accept } from "../http/server.ts";
import type { Upstream } from "./upstream.ts";

/** Hands the bytes of a stream on, both ways, once the plugin has taken it. */
export function proxyStream(upstream: Upstream, path: string): UpgradeHandler {
  return async (_request, socket, head, stopping) => {
    const gone = new AbortController();
    const closed = () => gone.abort(new Error("the client went away"));
    socket.once("close", closed);
    const far = await upstream.stream(path, AbortSignal.any([gone.signal, stopping]));
    socket.off("close", closed);
    accept(socket);
    if (head.length > 0) far.write(head);
    // One end's end is the other's, behind all that was written; what breaks one off breaks off the other.
    const join = (from: Duplex, to: Duplex) => {
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        if (!from.readableEnded) to.destroy();
      });
    };
    join(socket, far);
    join(far, socket);
  };
}
