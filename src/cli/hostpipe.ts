import { randomBytes } from "node:crypto";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { systemClock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import { serveFifo } from "../hostpipe/serveFifo.ts";
import { lockStateDir } from "../node/stateLock.ts";
import type { Io } from "./console.ts";
import { onInterrupt } from "./interrupt.ts";
import { plugin } from "./plugin.ts";

export interface ServeFlags {
  dir?: string;
  stateDir?: string;
  podsDir?: string;
  config?: string;
  logLevel?: string;
}

/**
 * `hostlet hostpipe serve`: this host's pods for an agent in a container, on a unix socket in a directory that both see.
 * @throws {HostletError} ConfigInvalid, StateLocked, ListenFailed, RuntimeUnavailable
 */
export function hostpipeServe(flags: ServeFlags, io: Io): Promise<number> {
  const home = io.env.HOME || homedir();
  const dir = resolve(flags.dir ?? join(home, "hostpipe"));
  const { dir: _, ...others } = flags;
  const tokenFile = join(dir, "token");
  makeToken(dir, tokenFile);
  io.stderr.write(`clients need ${tokenFile}; whoever can read it runs programs as you\n`);
  return plugin(
    {
      ...others,
      stateDir: flags.stateDir ?? join(home, ".hostlet/hostpipe"),
      listen: `unix:${join(dir, "hostlet.sock")}`,
      tokenFile,
    },
    io,
  );
}

/** A root in the container has all rights on the socket: who asks must show that it may read the directory's token. */
function makeToken(dir: string, file: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(file, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  if ((statSync(file).mode & 0o077) !== 0) {
    throw new HostletError("ConfigInvalid", `${file}: others may read it; remove it, and a new one is made`);
  }
}

export interface FifoFlags {
  parallel?: string;
  log?: string;
  quiet?: boolean;
}

/**
 * `hostlet hostpipe fifo`: runs each line that comes through the pipe, until a signal.
 * @throws {HostletError} ConfigInvalid, PathNotOurs, StateLocked
 */
export async function hostpipeFifo(path: string | undefined, flags: FifoFlags, io: Io): Promise<number> {
  const home = io.env.HOME || homedir();
  const fifo = resolve(path ?? join(home, "hostpipe/vk-cmd"));
  const text = flags.parallel ?? "1";
  const parallel = /^[1-9]\d{0,3}$/.test(text) ? Number(text) : undefined;
  if (!parallel) {
    throw new HostletError("ConfigInvalid", `--parallel: must be 1 to 9999, not ${JSON.stringify(text)}`);
  }
  mkdirSync(dirname(fifo), { recursive: true, mode: 0o700 });
  // Two readers would each get some of the lines.
  const lock = lockStateDir(join(dirname(fifo), `.${basename(fifo)}.hostlet`));
  const interrupt = onInterrupt(io, systemClock);
  try {
    await serveFifo({
      path: fifo,
      cwd: home,
      parallel,
      logFile: resolve(flags.log ?? `${fifo}.log`),
      echo: (record) => {
        if (!flags.quiet) io.stdout.write(record);
      },
      ready: () => io.stderr.write(`reading ${fifo}; whoever can write to it runs commands as you\n`),
      clock: systemClock,
      signal: interrupt.first,
      kill: interrupt.second,
    });
    return 0;
  } finally {
    interrupt.dispose();
    lock.release();
  }
}
