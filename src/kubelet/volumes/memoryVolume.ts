import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { parseQuantity, toNumber } from "../../kube/quantity.ts";
import type { Pod, Volume } from "../../kube/types.ts";

import type { ContainerMount } from "../../runtimes/contract.ts";

const run = promisify(execFile);

export function isInMemory({ emptyDir }: Volume): boolean {
  return emptyDir?.medium === "Memory";
}

/** Options of mount(8) for a volume in memory: full at its sizeLimit. */
export function memoryOptions({ emptyDir }: Volume): string {
  const limit = emptyDir?.sizeLimit === undefined ? undefined : toNumber(parseQuantity(emptyDir.sizeLimit));
  return limit !== undefined && limit > 0 ? `mode=0777,size=${Math.ceil(limit)}` : "mode=0777";
}

/**
 * Makes the directory a file system in memory, for all containers of the pod; one that is one already stays.
 * @returns false: this agent may not mount
 */
export async function mountMemory(path: string, volume: Volume): Promise<boolean> {
  if (mountsBelow(path).includes(path)) return true;
  const options = ["-t", "tmpfs", "-o", `nosuid,nodev,${memoryOptions(volume)}`, "tmpfs", path];
  return run("mount", options).then(
    () => true,
    () => false,
  );
}

/**
 * An ordinary user can't mount for the pod, but a sandbox can for a container: good for a volume that only one container mounts, and empty
 * again when that is restarted.
 */
export function memoryMounts(pod: Pod, mounts: ContainerMount[]): ContainerMount[] {
  if (process.geteuid?.() === 0) return mounts;
  const { volumes = [], initContainers = [], containers = [] } = pod.spec ?? {};
  const users = (name: string) =>
    [...initContainers, ...containers].filter(({ volumeMounts }) => volumeMounts?.some((mount) => mount.name === name));
  return mounts.map((mount) => {
    const volume = volumes.find(({ name }) => name === mount.volume);
    const own = volume && isInMemory(volume) && users(volume.name).length === 1;
    return own ? { ...mount, tmpfs: memoryOptions(volume) } : mount;
  });
}

/** Ends what is mounted at and below a pod's directory, the inner ones first. */
export async function unmountBelow(dir: string): Promise<void> {
  // Whoever is not root has mounted nothing.
  if (process.geteuid?.() !== 0) return;
  for (const path of mountsBelow(dir).reverse()) await run("umount", ["--lazy", path]);
}

/** In the order in which they were mounted. */
function mountsBelow(dir: string): string[] {
  let text: string;
  try {
    text = readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    return [];
  }
  if (!text.includes(dir.replaceAll(/[ \t\n\\]/g, escapeOctal))) return [];
  return text.split("\n").flatMap((line) => {
    const path = line
      .split(" ")[4]
      ?.replaceAll(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
    return path !== undefined && (path === dir || path.startsWith(`${dir}/`)) ? [path] : [];
  });
}

function escapeOctal(character: string): string {
  return `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`;
}
