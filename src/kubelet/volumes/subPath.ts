import { chmod, lstat, mkdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";

/**
 * A path inside a volume, gone through name by name: no symbolic link leads out of the volume. What is missing is made, as
 * directories with the mode of the volume's own.
 * @param subPath relative and normalised, without `..`
 * @returns the path as it was asked for, below `volume`
 * @throws {Error} with a message for the pod's author, which does not hold the path: a variable in it may be secret
 */
export async function resolveSubPath(volume: string, subPath: string): Promise<string> {
  const root = await realpath(volume);
  const { mode } = await stat(root);
  let here = root;
  for (const name of subPath.split("/")) {
    here = await step(root, join(here, name), mode & 0o7777);
  }
  return join(volume, subPath);
}

/** @returns where the path really leads */
async function step(root: string, path: string, mode: number): Promise<string> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    if (error.code === "ENOTDIR") throw new Error("a part of it is a file");
    throw error;
  });
  if (!found) {
    await mkdir(path);
    await chmod(path, mode);
    return path;
  }
  if (!found.isSymbolicLink()) return path;
  const target = await realpath(path).catch(() => {
    throw new Error("it leads through a symbolic link to nothing");
  });
  if (target !== root && !target.startsWith(root + sep)) {
    throw new Error("it leads out of the volume through a symbolic link");
  }
  return target;
}
