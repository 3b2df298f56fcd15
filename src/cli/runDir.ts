import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HostletError } from "../errors.ts";
import { lockStateDir, type StateLock } from "../node/stateLock.ts";

export interface RunDir {
  path: string;
  /** Leaves the directory, and keeps it from being taken up by another run. */
  keep(): Promise<void>;
  /** Lets go of the directory: the next run takes it up, with what is still in it. */
  leave(): void;
  /** Removes the directory. */
  remove(): Promise<void>;
}

const keptMark = "kept";
const removedMark = ".removed";

/**
 * A directory for one run below `base`, locked. One that a run left which was killed is taken up again: the node finds in it what is
 * left of that run's pods, learns that the cluster has them no more, and ends and removes them.
 * @throws {HostletError} ConfigInvalid where it can't be written
 */
export async function openRunDir(base: string): Promise<RunDir> {
  const names = await namesIn(base);
  // Of a run that was killed while it cleaned up. One that still does it may be quicker.
  for (const name of names.filter((name) => name.endsWith(removedMark))) {
    await rm(join(base, name), { recursive: true, force: true }).catch(() => {});
  }
  for (const id of names.filter((name) => isLeft(base, name))) {
    const path = join(base, id);
    const lock = unlessRemoved(() => tryLock(path));
    if (lock) return runDir(path, lock);
  }
  for (;;) {
    const path = join(base, randomBytes(4).toString("hex"));
    const lock = tryLock(path);
    if (lock) return runDir(path, lock);
  }
}

function runDir(path: string, lock: StateLock): RunDir {
  return {
    path,
    async keep() {
      await writeFile(join(path, keptMark), "");
      lock.release();
    },
    leave: () => lock.release(),
    async remove() {
      // Without its name first: another run would take up a directory whose lock is already away, and lose its files.
      const removed = `${path}.${randomBytes(4).toString("hex")}${removedMark}`;
      await rename(path, removed);
      await rm(removed, { recursive: true, force: true });
    },
  };
}

async function namesIn(base: string): Promise<string[]> {
  return await readdir(base).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw new HostletError("ConfigInvalid", `${base}: ${error.message}; choose another directory with --state-dir`, {
      cause: error,
    });
  });
}

function isLeft(base: string, name: string): boolean {
  return /^[0-9a-f]{8}$/.test(name) && !existsSync(join(base, name, keptMark));
}

/** Its run may be removing it just now, and does so by another name. */
function unlessRemoved(lock: () => StateLock | undefined): StateLock | undefined {
  try {
    return lock();
  } catch (error) {
    const cause = error instanceof HostletError ? error.cause : error;
    if ((cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT") return undefined;
    throw error;
  }
}

function tryLock(path: string): StateLock | undefined {
  try {
    return lockStateDir(path);
  } catch (error) {
    if (error instanceof HostletError && error.code === "StateLocked") return undefined;
    throw error;
  }
}
