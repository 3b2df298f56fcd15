import { lstatSync, readlinkSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import type { ContainerMount } from "../../contract.ts";

/** More in one path are a circle, for the kernel too. */
const mostLinks = 40;

/**
 * Where a path that a container names is on this host, for a look at it before the start: links lead where they would lead in the
 * container's root, mounts cover what is beneath them. What the container makes itself is not seen. Undefined: nowhere.
 * @param root of the container, on this host
 * @param path absolute, in the container
 */
export function hostPathIn(root: string, mounts: readonly ContainerMount[], path: string): string | undefined {
  const byPlace = new Map(mounts.map((mount) => [posix.resolve("/", mount.mountPath), mount.source]));
  let left = parts(path);
  let place = "/";
  let links = 0;
  /** A directory on this host for `/` and for each mount on the way. */
  const real = (at: string): string => {
    const source = byPlace.get(at);
    if (source !== undefined) return source;
    return at === "/" ? root : join(real(dirname(at)), posix.basename(at));
  };
  while (left.length > 0) {
    const [name, ...rest] = left as [string, ...string[]];
    left = rest;
    const next = posix.resolve(place, name);
    const target = byPlace.has(next) ? undefined : linkTarget(real(next));
    if (target === undefined) {
      place = next;
      continue;
    }
    if (++links > mostLinks) return undefined;
    left = [...parts(target), ...left];
    if (posix.isAbsolute(target)) place = "/";
  }
  return real(place);
}

function parts(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function linkTarget(path: string): string | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch {
    return undefined; // a file where a directory should be: whoever opens it learns that
  }
}
