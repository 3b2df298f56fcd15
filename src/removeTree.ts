import { readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { chmod, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/**
 * Removes a directory and all in it; a symlink is removed, never followed. For the small trees that hostlet makes itself: it
 * blocks, and takes a fifth of the time of fs.rm, which asks for every entry's kind once more.
 * @throws what rmdir(2), unlink(2) and readdir(2) do, but for what is not there any more
 */
export function removeTreeSync(dir: string): void {
  removeUpTo(dir, Number.POSITIVE_INFINITY);
}

/**
 * The same, for at most `count` entries.
 * @returns how many more it could have removed; 0: there is probably more
 */
export function removeUpTo(dir: string, count: number): number {
  let left = count;
  try {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (left <= 0) return 0;
      const path = join(dir, entry.name);
      if (entry.isDirectory()) left = removeUpTo(path, left);
      else {
        unlinkSync(path);
        left--;
      }
    }
    if (left <= 0) return 0;
    rmdirSync(dir);
    return left - 1;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return left;
    throw error;
  }
}

const entriesAtOnce = 200;

/** Removes a tree of any size, without blocking for a large one. Payloads leave directories in which not even their owner may remove anything (Go's module cache is one). */
export async function removeTree(dir: string): Promise<void> {
  const options = { recursive: true, force: true, maxRetries: 3 };
  try {
    // What a pod without much data leaves is removed at once; a large tree must not block the others.
    if (removeUpTo(dir, entriesAtOnce) > 0) return;
    await rm(dir, options);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    await openUp(dir);
    await rm(dir, options);
  }
}

async function openUp(dir: string): Promise<void> {
  try {
    await chmod(dir, 0o700);
    for (const entry of await readdir(dir, { withFileTypes: true })) {
      if (entry.isDirectory()) await openUp(join(dir, entry.name));
    }
  } catch (error) {
    // An rm that failed in one place still goes on in others.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
