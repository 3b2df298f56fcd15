import { closeSync, constants, fchmodSync, mkdirSync, openSync } from "node:fs";
import { lstat, realpath, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";

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
    here = await step(root, here, name, mode & 0o7777);
  }
  return join(volume, subPath);
}

/** @returns where the path really leads */
async function step(root: string, dir: string, name: string, mode: number): Promise<string> {
  const path = join(dir, name);
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    if (error.code === "ENOTDIR") throw new Error("a part of it is a file");
    throw error;
  });
  if (!found) {
    makeBelow(root, dir, name, mode);
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

const directory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Makes a directory in one that was found to be in the volume, by descriptors that follow no link: a container that swaps a
 * directory for a link meanwhile must not have the agent, who may be root, make or open up anything elsewhere.
 */
function makeBelow(root: string, dir: string, name: string, mode: number): void {
  let at = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  const enter = (below: string) => {
    const next = openSync(`/proc/self/fd/${at}/${below}`, directory);
    closeSync(at);
    at = next;
  };
  try {
    for (const part of relative(root, dir).split(sep).filter(Boolean)) enter(part);
    mkdirSync(`/proc/self/fd/${at}/${name}`);
    enter(name);
    fchmodSync(at, mode);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ELOOP" || code === "ENOTDIR") throw new Error("something else was put in its way meanwhile");
    throw error;
  } finally {
    closeSync(at);
  }
}
