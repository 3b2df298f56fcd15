import type { Socket } from "node:net";
import { constants } from "node:os";
import type { Clock } from "../../clock.ts";
import { onAbort } from "../../kube/abort.ts";
import type { StreamsEnd } from "../streams.ts";
import { connectToShim } from "./control.ts";
import { toContainerExit } from "./exits.ts";

/** A connection on which a shim has agreed to frames, and what came behind its answer. */
export interface ShimConnection {
  socket: Socket;
  rest: Buffer;
}

const answerDeadline = 20_000;

/**
 * Asks a shim for streams.
 * @returns the connection; or the errno with which it refuses; or undefined where it can't be reached, has no room for
 * another connection, or gives no answer in time
 */
export async function openShimStreams(
  attemptDir: string,
  request: Uint8Array | string,
  clock: Clock,
  signal: AbortSignal,
): Promise<ShimConnection | number | undefined> {
  signal.throwIfAborted();
  const socket = await connectToShim(attemptDir).catch(() => undefined);
  if (!socket) return undefined;
  return new Promise((resolve) => {
    let received: Buffer = Buffer.alloc(0);
    const settle = (result: ShimConnection | number | undefined) => {
      cancel();
      forget();
      socket.off("data", take);
      socket.off("close", ended);
      if (typeof result === "object") socket.pause();
      else socket.destroy();
      resolve(result);
    };
    const ended = () => settle(undefined);
    const take = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (let end = received.indexOf(10); end >= 0; end = received.indexOf(10)) {
        const line = received.toString("latin1", 0, end);
        received = received.subarray(end + 1);
        if (line === "ok") return settle({ socket, rest: received });
        if (line.startsWith("exited ")) return settle(constants.errno.ESRCH);
        const refused = /^err (\d+)$/.exec(line);
        if (refused) return settle(Number(refused[1]));
      }
      if (received.length > 4096) settle(undefined);
    };
    const cancel = clock.after(answerDeadline, ended);
    const forget = onAbort(signal, ended);
    socket.on("error", () => {}); // "close" follows
    socket.on("data", take);
    socket.on("close", ended);
    socket.write(request);
  });
}

/** `exited KIND CODE [STEP MESSAGE]`, as a shim says it in a frame; undefined for other news. */
export function parseStreamsEnd(line: string): StreamsEnd | undefined {
  const match = /^exited (exited|signaled|error) (\d+)(?: (start|cwd|exec) ([^\n]*))?\n?$/.exec(line);
  if (!match) return undefined;
  const [, kind, code, step, message] = match;
  const { exitCode, signal, ...said } = toContainerExit({
    kind: kind as "exited" | "signaled" | "error",
    code: Number(code),
    finished: 0,
    ...(step !== undefined && { step: step as "start" | "cwd" | "exec" }),
    ...(message !== undefined && { message }),
  });
  return {
    exitCode,
    ...(signal !== undefined && { signal }),
    ...(said.message !== undefined && { message: said.message }),
  };
}
