import type { Socket } from "node:net";
import { PassThrough, Transform } from "node:stream";
import { onAbort } from "../../kube/abort.ts";
import type { ContainerStreams, StreamsEnd } from "../streams.ts";
import type { Hijacked } from "./engineClient.ts";
import { type Frame, FrameParser } from "./frames.ts";

export interface HijackedStreams {
  connection: Hijacked;
  stdin: boolean;
  /** The end of its input closes that of the container too, which an engine takes for the end of the connection. */
  endsInput: boolean;
  tty: boolean;
  /** Asks how it ended, once the connection is at its end. */
  end(): Promise<StreamsEnd>;
  resize(rows: number, columns: number): Promise<void>;
  /** Takes the engine's own words out of the output: a command that could not be started. True: they were. */
  isEngine?(payload: Buffer): boolean;
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
  let resizing: Promise<void> = Promise.resolve();
  const input = options.stdin ? inputOf(socket, options.endsInput, () => resizing) : undefined;
  const copied = copy(options, stdout, stderr).then(
    () => {
      stdout.end();
      stderr?.end();
      // Nobody takes it any more.
      input?.unpipe();
      input?.resume();
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
    ...(input && { stdin: input }),
    stdout,
    ...(stderr && { stderr }),
    resize(rows, columns) {
      resizing = options.resize(rows, columns);
    },
    ended,
    close,
  };
}

/** What is typed comes after the size that the terminal was given before. */
function inputOf(socket: Socket, end: boolean, ready: () => Promise<void>): Transform {
  const input = new Transform({
    transform(chunk, _encoding, done) {
      void ready().then(() => done(null, chunk));
    },
  });
  input.on("error", () => {});
  input.pipe(socket, { end });
  return input;
}

async function copy(options: HijackedStreams, stdout: PassThrough, stderr: PassThrough | undefined): Promise<void> {
  const { socket, head } = options.connection;
  const parser = new FrameParser();
  const write = async (chunk: Buffer) => {
    const frames: Frame[] = stderr ? parser.push(chunk) : [{ stream: "stdout", payload: chunk }];
    for (const { stream, payload } of frames) {
      if (options.isEngine?.(payload)) continue;
      const target = stream === "stderr" && stderr ? stderr : stdout;
      if (target.destroyed) continue;
      if (!target.write(payload)) await drained(target);
    }
  };
  if (head.length > 0) await write(head);
  for await (const chunk of socket as AsyncIterable<Buffer>) await write(chunk);
}

/** It can be written to again, or never. Leaves no listener. */
function drained(target: PassThrough): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      target.off("drain", done).off("close", done);
      resolve();
    };
    target.once("drain", done).once("close", done);
  });
}
