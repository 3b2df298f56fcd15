import { readdirSync, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ContainerMount } from "../../runtimes/contract.ts";

/** What the resolution of an image looks at on this host. */
export interface HostFiles {
  /** Absolute paths of the files at and below the path, links followed; none where there is nothing. */
  list(path: string): Promise<string[]>;
  /** Whether there is a file, whatever its permissions. */
  isFile(path: string): Promise<boolean>;
}

export const hostFiles: HostFiles = {
  list: async (path) => listFiles(path),
  async isFile(path) {
    return (await stat(path).catch(() => undefined))?.isFile() === true;
  },
};

/** Synchronous: only volumes in the pod's directory are listed, which is on a local disk. */
function listFiles(path: string): string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile()) return [path];
  if (!found?.isDirectory()) return [];
  // Names that begin with `..` are how a volume keeps its versions.
  const names = readdirSync(path).filter((name) => !name.startsWith(".."));
  return names.flatMap((name) => listFiles(join(path, name)));
}

/** The files that a container sees in these mounts: each once, by name, then by path. */
export async function filesIn(mounts: ContainerMount[], files: HostFiles): Promise<string[]> {
  const lists = await Promise.all(mounts.map((mount) => files.list(mount.source)));
  return [...new Set(lists.flat())].sort((a, b) => compare(basename(a), basename(b)) || compare(a, b));
}

/** `*.job`: what runs, where several files could. */
export function jobsAmong(paths: string[]): string[] {
  return paths.filter((path) => /[^/]\.job$/.test(path));
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
