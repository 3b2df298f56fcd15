import { constants } from "node:fs";
import { type FileHandle, open, readdir, readlink, realpath } from "node:fs/promises";
import { join, posix, sep } from "node:path";

/** What `/logs/<path>` is. */
export type NodeLog = { names: string[] } | { file: FileHandle; bytes: number };

/**
 * Opens a file or lists a directory below `root`. Where the path really leads is asked of the open file, so that neither `..`
 * nor a link, nor one that is exchanged meanwhile, leads out. Undefined: nothing of the kind.
 */
export async function openNodeLog(root: string, path: string): Promise<NodeLog | undefined> {
  if (path.includes("\0")) return undefined;
  const real = await realpath(root).catch(() => undefined);
  if (real === undefined) return undefined;
  // A FIFO would wait for its writer.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const file = await open(join(real, posix.normalize(`/${path}`)), flags).catch(() => undefined);
  if (!file) return undefined;
  let kept = false;
  try {
    const where = await readlink(`/proc/self/fd/${file.fd}`);
    if (where !== real && !where.startsWith(real + sep)) return undefined;
    const stat = await file.stat();
    if (stat.isDirectory()) {
      const entries = await readdir(where, { withFileTypes: true });
      return { names: entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort() };
    }
    if (!stat.isFile()) return undefined;
    kept = true;
    return { file, bytes: stat.size };
  } finally {
    if (!kept) await file.close();
  }
}
