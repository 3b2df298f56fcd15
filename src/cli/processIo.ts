import type { Io, StopSignal } from "./console.ts";

/** The process's own streams and signals. */
export function processIo(): Io {
  const listeners = new Set<(signal: StopSignal) => void>();
  const tell = (signal: StopSignal) => {
    for (const listener of [...listeners]) listener(signal);
  };
  for (const output of [process.stdout, process.stderr]) {
    output.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      // Nobody who reads: as a shell's own tools, end; but not without the pods.
      if (output === process.stdout) tell("SIGPIPE");
    });
  }
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    onSignal(callback) {
      const handlers = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((name) => {
        const handler = () => callback(name);
        process.on(name, handler);
        return () => process.off(name, handler);
      });
      listeners.add(callback);
      return () => {
        listeners.delete(callback);
        for (const off of handlers) off();
      };
    },
  };
}
