import type { Clock } from "../clock.ts";
import { LineCommand } from "./commands.ts";
import { makeFifo, readFifo } from "./fifo.ts";
import { PipeLog } from "./log.ts";

export interface FifoOptions {
  path: string;
  /** Where the commands run. */
  cwd: string;
  /** How many lines run at a time; in the order in which they came they begin. */
  parallel: number;
  logFile: string;
  /** Every record of the log. */
  echo(record: string): void;
  /** The FIFO is there and is read. */
  ready(): void;
  clock: Clock;
  /** No more lines are taken, and those that run get SIGTERM. */
  signal: AbortSignal;
  /** Those that still run get SIGKILL. */
  kill: AbortSignal;
}

/**
 * Runs each line that is written to a FIFO. Whoever may write to it runs commands here: it is its owner's alone.
 * @throws {HostletError} PathNotOurs
 */
export async function serveFifo(options: FifoOptions): Promise<void> {
  const { path, clock, signal, kill } = options;
  makeFifo(path);
  const log = new PipeLog(options.logFile, options.echo);
  const running = new Map<LineCommand, Promise<void>>();
  const end = (how: "SIGTERM" | "SIGKILL") => () => {
    for (const command of running.keys()) command.kill(how);
  };
  const [term, force] = [end("SIGTERM"), end("SIGKILL")];
  signal.addEventListener("abort", term, { once: true });
  kill.addEventListener("abort", force, { once: true });
  let number = 0;
  const run = (line: string) => {
    const own = ++number;
    log.write(clock.now(), own, "run", line);
    const command = new LineCommand(line, options.cwd, (stream, text) => log.write(clock.now(), own, stream, text));
    const ended = command.ended.then(({ exitCode }) => {
      running.delete(command);
      log.write(clock.now(), own, "exit", String(exitCode));
    });
    running.set(command, ended);
  };
  try {
    options.ready();
    for await (const { lines, dropped } of readFifo(path, clock, signal)) {
      for (const line of lines) {
        while (running.size >= options.parallel) await Promise.race(running.values());
        if (signal.aborted) dropped.push(`not run, as this is ending: ${line}`);
        else run(line);
      }
      for (const what of dropped) log.write(clock.now(), number, "drop", what);
    }
  } finally {
    if (!signal.aborted) term();
    await Promise.all(running.values());
    signal.removeEventListener("abort", term);
    kill.removeEventListener("abort", force);
  }
}
