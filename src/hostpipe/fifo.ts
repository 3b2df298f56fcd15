import { execFileSync } from "node:child_process";
import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, read, type Stats } from "node:fs";
import { dirname } from "node:path";
import { type Clock, sleep } from "../clock.ts";
import { HostletError } from "../errors.ts";
import { LineSplitter, type SplitLines } from "./lines.ts";

/**
 * Makes the FIFO, 0600 in a directory of the user's, or finds it there.
 * @throws {HostletError} PathNotOurs: something else is there, or others may write to it
 */
export function makeFifo(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (!there) execFileSync("mkfifo", ["-m", "600", "--", path], { stdio: ["ignore", "ignore", "pipe"] });
  checkFifo(path, lstatSync(path));
}

/** @throws {HostletError} PathNotOurs */
function checkFifo(path: string, stats: Stats): void {
  if (!stats.isFIFO()) {
    throw new HostletError(
      "PathNotOurs",
      `${path} is no FIFO: something wrote to it while there was none. Look at it, move it away, and start again`,
    );
  }
  if (stats.uid !== process.getuid?.() || (stats.mode & 0o022) !== 0) {
    throw new HostletError(
      "PathNotOurs",
      `others may write to ${path}, and whoever may, runs commands as you: chmod 600 it, or remove it`,
    );
  }
}

/**
 * There is no event for both, that something was written and that the last writer is gone: epoll tells of the first only where one is a writer
 * oneself, and then there is never an end. So the pipe is asked.
 */
const pollMs = 20;
const checkPathMs = 5_000;

/**
 * The lines that are written to a FIFO, until the signal is aborted. Read no faster than they are taken: the writers wait then.
 * @throws {HostletError} PathNotOurs where the FIFO at this path was replaced by something else
 */
export async function* readFifo(path: string, clock: Clock, signal: AbortSignal): AsyncGenerator<SplitLines> {
  // Held open all the time: what is written while nobody else reads is kept in it.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const { ino } = fstatSync(fd);
  const buffer = Buffer.alloc(64 * 1024);
  const splitter = new LineSplitter();
  let checkedAt = clock.now();
  try {
    while (!signal.aborted) {
      const length = await readSome(fd, buffer);
      const found = length === 0 ? splitter.end() : splitter.push(buffer.subarray(0, length ?? 0));
      if (found.lines.length > 0 || found.dropped.length > 0) yield found;
      if (length !== undefined && length > 0) continue;
      if (clock.now() - checkedAt >= checkPathMs) {
        checkedAt = clock.now();
        const stats = lstatSync(path, { throwIfNoEntry: false });
        if (!stats) throw new HostletError("PathNotOurs", `${path} was removed`);
        checkFifo(path, stats);
        if (stats.ino !== ino) throw new HostletError("PathNotOurs", `${path} is another FIFO now`);
      }
      await pause(clock, signal);
    }
  } finally {
    closeSync(fd);
  }
}

async function pause(clock: Clock, signal: AbortSignal): Promise<void> {
  // A timer of the clock does not keep the process alive.
  const hold = setInterval(() => {}, 60_000);
  await sleep(clock, pollMs, signal).catch(() => {});
  clearInterval(hold);
}

/** 0: no writer has it open, and nothing is in it. Undefined: nothing yet. */
function readSome(fd: number, buffer: Buffer): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, null, (error, length) => {
      if (error && error.code !== "EAGAIN") reject(error);
      else resolve(error ? undefined : length);
    });
  });
}
