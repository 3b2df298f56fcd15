import { once } from "node:events";
import type { Socket } from "node:net";
import { PassThrough, type Writable } from "node:stream";
import { onAbort } from "../../kube/abort.ts";
import type { ContainerStreams, StreamsEnd } from "../streams.ts";
import type { Hijacked } from "./engineClient.ts";
import { type Frame, FrameParser } from "./frames.ts";

export interface HijackedStreams {
  connection: Hijacked;
  stdin: boolean;
  tty: boolean;
  /** Asks how it ended, once the connection is at its end. */
  end(): Promise<StreamsEnd>;
  resize(rows: number, columns: number): void;
  /** Ends what is still there when the streams are let go of. */
  abandon(): void;
  signal: AbortSignal;
}

/** A raw connection to the engine as streams, with backpressure both ways. */
export function streamsOver(options: HijackedStreams): ContainerStreams {
  const { connection, tty, signal } = options;
  const { socket } = connection;
  const stdout = new PassThrough();
  const stderr = tty ? undefined : new PassThrough();
  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    forget();
    socket.destroy();
    stdout.destroy();
    stderr?.destroy();
    options.abandon();
  };
  const forget = onAbort(signal, close);
  const copied = copy(connection, stdout, stderr).then(
    () => {
      stdout.end();
      stderr?.end();
    },
    (error: Error) => {
      stdout.destroy(error);
      stderr?.destroy(error);
    },
  );
  for (const stream of [stdout, stderr, socket]) stream?.on("error", () => {});
  const ended = copied.then(() => options.end()).finally(forget);
  ended.catch(() => {});
  return {
    ...(options.stdin && { stdin: inputOf(socket) }),
    stdout,
    ...(stderr && { stderr }),
    resize: options.resize,
    ended,
    close,
  };
}

/** Its end is that of what we send; the engine goes on sending. */
function inputOf(socket: Socket): Writable {
  const input = new PassThrough();
  input.pipe(socket);
  return input;
}

async function copy({ socket, head }: Hijacked, stdout: PassThrough, stderr: PassThrough | undefined): Promise<void> {
  const parser = new FrameParser();
  const write = async (chunk: Buffer) => {
    const frames: Frame[] = stderr ? parser.push(chunk) : [{ stream: "stdout", payload: chunk }];
    for (const { stream, payload } of frames) {
      const target = stream === "stderr" && stderr ? stderr : stdout;
      if (target.destroyed) continue;
      if (!target.write(payload)) await Promise.race([once(target, "drain"), once(target, "close")]);
    }
  };
  if (head.length > 0) await write(head);
  for await (const chunk of socket as AsyncIterable<Buffer>) await write(chunk);
}
