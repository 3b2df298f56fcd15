import { readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Whether the kernel killed a process of this one's cgroup for want of memory. The shim is there until everybody has heard of its
 * container's end, so its cgroup is, too.
 */
export function wasOOMKilled(pid: number, root = "/"): boolean {
  try {
    const cgroups = readFileSync(join(root, `proc/${pid}/cgroup`), "utf8").split("\n");
    return cgroups.some((line) => {
      const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      if (path === undefined) return false;
      if (controllers === "") return killsIn(join(root, "sys/fs/cgroup", path, "memory.events")) > 0;
      if (!controllers?.split(",").includes("memory")) return false;
      return killsIn(join(root, "sys/fs/cgroup/memory", path, "memory.oom_control")) > 0;
    });
  } catch {
    return false;
  }
}

function killsIn(file: string): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync(file, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
