import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What a cgroup (v2) tells of all that ever was in it. */
export interface CgroupFigures {
  cpuNanoseconds?: number;
  memoryUsageBytes?: number;
  memoryWorkingSetBytes?: number;
  memoryRssBytes?: number;
  processes?: number;
}

/** Where cgroup v2 is mounted; undefined: nowhere. */
export function cgroupMount(mountinfo: string): string | undefined {
  for (const line of mountinfo.split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    if (right.startsWith("cgroup2 ")) return left.split(" ")[4];
  }
  return undefined;
}

/** The v2 path in the text of /proc/PID/cgroup; undefined where there is none. */
export function cgroupPath(text: string): string | undefined {
  return /^0::(\/.*)$/m.exec(text)?.[1];
}

/** Undefined where it is gone, or has no controllers that count. */
export function readCgroup(dir: string): CgroupFigures | undefined {
  const read = (file: string) => {
    try {
      return readFileSync(join(dir, file), "latin1");
    } catch {
      return undefined;
    }
  };
  const key = (text: string | undefined, name: string) => {
    const found = new RegExp(`^${name} (\\d+)$`, "m").exec(text ?? "")?.[1];
    return found === undefined ? undefined : Number(found);
  };
  const cpu = key(read("cpu.stat"), "usage_usec");
  const usageText = read("memory.current");
  const memory = read("memory.stat");
  const usage = usageText === undefined ? undefined : Number(usageText);
  const processesText = read("pids.current");
  if (cpu === undefined || usage === undefined) return undefined;
  const anon = key(memory, "anon");
  return {
    cpuNanoseconds: cpu * 1000,
    memoryUsageBytes: usage,
    // As cadvisor has it: page cache that was not used lately goes first and without harm.
    memoryWorkingSetBytes: Math.max(0, usage - (key(memory, "inactive_file") ?? 0)),
    ...(anon !== undefined && { memoryRssBytes: anon }),
    ...(processesText !== undefined && { processes: Number(processesText) }),
  };
}
