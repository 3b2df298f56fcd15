import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";
import { HostletError } from "../../../errors.ts";
import type { ContainerMount } from "../../contract.ts";

/**
 * Makes each mountPath real, as a symlink under the container's directory; a mount inside another mount gets its link
 * inside the outer volume. Whatever a pod left in its directories, nothing outside them is touched: every directory
 * is opened without following symlinks and what is created is created relative to it (`/proc/self/fd/N/name`, which is
 * openat), so that not even a program that swaps a directory for a link at the right moment leads out.
 * @param dir the container's directory, `<pod's directory>/containers/<name>`; exists
 * @throws {HostletError} CreateContainerFailed, naming the mount and the reason
 */
export function linkMounts(dir: string, mounts: readonly ContainerMount[]): void {
  const placed = mounts
    .map((mount) => ({ mount, path: mountComponents(mount) }))
    .sort((a, b) => a.path.length - b.path.length);
  const byPath = new Map<string, ContainerMount>();
  for (const { mount, path } of placed) {
    const key = path.join("/");
    const other = byPath.get(key);
    if (other) throw failed(mount, `volume ${other.volume} has the same mountPath`);
    placeLink(dir, mount, path, byPath);
    byPath.set(key, mount);
  }
}

/** The names from the container's directory to the mount. @throws {HostletError} CreateContainerFailed */
export function mountComponents(mount: ContainerMount): string[] {
  const names = mount.mountPath.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) throw failed(mount, 'it must not contain ".."');
  if (mount.mountPath.includes("\0")) throw failed(mount, "it must not contain a NUL character");
  if (names.length === 0) throw failed(mount, "it is the container's directory itself: mount it at a path below");
  if (names[0] === "pgid") throw failed(mount, "pgid is the file that holds the container's process group");
  return names;
}

function placeLink(
  dir: string,
  mount: ContainerMount,
  path: readonly string[],
  outer: ReadonlyMap<string, ContainerMount>,
): void {
  const podDir = dirname(dirname(dir));
  const own = [basename(dirname(dir)), basename(dir)];
  let at = openChain(podDir, own, mount);
  /** Where `at` is, as names below the pod's directory: what relative links are reckoned from. */
  let where = own;
  let inVolume: ContainerMount | undefined;
  try {
    for (const [index, name] of path.slice(0, -1).entries()) {
      const around = outer.get(path.slice(0, index + 1).join("/"));
      let next: number;
      if (around) {
        where = insidePod(podDir, mount, around);
        inVolume = around;
        next = openChain(podDir, where, mount);
      } else {
        next = openOrMake(at, name, mount);
        where = [...where, name];
      }
      closeSync(at);
      at = next;
    }
    const target = linkTarget(podDir, where, mount.source);
    putLink(at, path.at(-1) as string, target, mount, inVolume);
  } finally {
    closeSync(at);
  }
}

/** Relative where both ends are in the pod's directory, so that the directory can be reached by any path. */
function linkTarget(podDir: string, where: readonly string[], source: string): string {
  const below = relative(podDir, source);
  return leaves(below) ? source : relative(join("/", ...where), join("/", below)) || ".";
}

function leaves(path: string): boolean {
  return path === "" || path === ".." || path.startsWith(`..${sep}`) || isAbsolute(path);
}

/** The outer volume's place below the pod's directory. */
function insidePod(podDir: string, mount: ContainerMount, around: ContainerMount): string[] {
  const below = relative(podDir, around.source);
  if (leaves(below)) {
    throw failed(
      mount,
      `it lies inside volume ${around.volume}, which is a path of this host (${around.source}) and not the pod's to change: mount it elsewhere`,
    );
  }
  if (statSync(around.source, { throwIfNoEntry: false })?.isFile())
    throw failed(mount, `it lies inside volume ${around.volume}, which is a file`);
  return below.split(sep);
}

const directory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

function openChain(root: string, names: readonly string[], mount: ContainerMount): number {
  let fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  for (const name of names) {
    const outerFd = fd;
    try {
      fd = openBelow(outerFd, name, mount);
    } finally {
      closeSync(outerFd);
    }
  }
  return fd;
}

function openBelow(at: number, name: string, mount: ContainerMount): number {
  try {
    return openSync(entry(at, name), directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ELOOP" && code !== "ENOTDIR") throw error;
    throw failed(
      mount,
      `${JSON.stringify(name)} on its way is not a directory but a link or file that the pod put there`,
    );
  }
}

function openOrMake(at: number, name: string, mount: ContainerMount): number {
  try {
    mkdirSync(entry(at, name), 0o755);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENAMETOOLONG") throw failed(mount, "a part of it is longer than a file name can be (255 bytes)");
    if (code !== "EEXIST") throw error;
  }
  return openBelow(at, name, mount);
}

function putLink(at: number, name: string, target: string, mount: ContainerMount, inVolume?: ContainerMount): void {
  const link = entry(at, name);
  let found: ReturnType<typeof lstatSync> | undefined;
  try {
    found = lstatSync(link, { throwIfNoEntry: false });
    if (found?.isSymbolicLink() && readlinkSync(link) === target) return;
    if (found?.isSymbolicLink() && !inVolume) {
      unlinkSync(link);
    }
    if (found?.isDirectory()) rmdirSync(link);
    symlinkSync(target, link);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENAMETOOLONG")
      throw failed(mount, "a part of it is longer than a file name can be (255 bytes)", cause);
    if (code === "ENOTEMPTY") throw failed(mount, "there already is a directory with files in that place", cause);
    if (code !== "EEXIST") throw failed(mount, (cause as Error).message, cause);
    const place = inVolume ? ` in volume ${inVolume.volume}, which other containers may share` : "";
    throw failed(
      mount,
      `there already is another ${found?.isSymbolicLink() ? "link" : "file"} in that place${place}`,
      cause,
    );
  }
}

function entry(at: number, name: string): string {
  return `/proc/self/fd/${at}/${name}`;
}

function failed(mount: ContainerMount, why: string, cause?: unknown): HostletError {
  return new HostletError(
    "CreateContainerFailed",
    `volume ${mount.volume} can't be mounted at ${JSON.stringify(mount.mountPath)}: ${why}`,
    { cause },
  );
}
