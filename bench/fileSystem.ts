import { mkdtempSync, readFileSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export interface FileSystem {
  /** `tmpfs`, `ext4`. */
  type: string;
  mountedAt: string;
  freeGiB: number;
}

const memory = "/dev/shm";
/** More than any scenario and a real control plane write. */
const roomGiB = 2;

/**
 * A new directory for everything that a run writes. In memory by default: on some virtual disks a new inode costs as much as all
 * that the agent does for a pod.
 * @param parent a directory; @default /dev/shm where it is a tmpfs with room, else the temporary directory
 */
export function newDirectory(parent: string | undefined): string {
  return mkdtempSync(join(parent === undefined ? defaultParent() : resolve(parent), "hostlet-bench-"));
}

function defaultParent(): string {
  try {
    const { type, freeGiB } = fileSystemOf(memory);
    if (type === "tmpfs" && freeGiB >= roomGiB) return memory;
  } catch {
    // Not on this machine.
  }
  return tmpdir();
}

/** Of an existing directory. */
export function fileSystemOf(directory: string): FileSystem {
  const { bavail, bsize } = statfsSync(directory);
  // proc(5): 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => ({ mountedAt: line.split(" ")[4] ?? "", type: line.split(" - ")[1]?.split(" ")[0] ?? "" }))
    .filter(({ mountedAt }) => `${directory}/`.startsWith(mountedAt === "/" ? "/" : `${mountedAt}/`));
  const { type, mountedAt } = mounts.reduce((a, b) => (b.mountedAt.length >= a.mountedAt.length ? b : a));
  return { type, mountedAt, freeGiB: Math.round((bavail * bsize) / 2 ** 30) };
}
