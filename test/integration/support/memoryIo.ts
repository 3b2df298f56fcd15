import { Writable } from "node:stream";
import type { Io, StopSignal } from "../../../src/cli/console.ts";

/** A command's surroundings in memory. */
export interface MemoryIo {
  io: Io;
  stdout(): string;
  stderr(): string;
  /** As if the process got it. */
  send(signal: StopSignal): void;
  /** Resolves once stdout and stderr together hold the text. */
  shows(text: string): Promise<void>;
}

export function memoryIo(env: NodeJS.ProcessEnv, stdin = ""): MemoryIo {
  const text = { stdout: "", stderr: "" };
  const handlers = new Set<(signal: StopSignal) => void>();
  const waiting = new Set<() => void>();
  const output = (name: keyof typeof text) =>
    new Writable({
      write(chunk, _encoding, done) {
        text[name] += chunk;
        for (const check of [...waiting]) check();
        done();
      },
    });
  const input = async function* () {
    yield stdin;
  };
  return {
    io: {
      stdin: input(),
      stdout: output("stdout"),
      stderr: output("stderr"),
      env,
      onSignal(callback) {
        handlers.add(callback);
        return () => handlers.delete(callback);
      },
    },
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    send: (signal) => {
      for (const handler of [...handlers]) handler(signal);
    },
    shows: (wanted) =>
      new Promise((resolve) => {
        const check = () => {
          if (!text.stdout.includes(wanted) && !text.stderr.includes(wanted)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
  };
}
