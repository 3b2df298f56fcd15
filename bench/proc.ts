import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

interface Stat {
  comm: string;
  ppid: number;
  /** ms of CPU: the process itself, and its children that it has waited for (theirs included). */
  own: number;
  children: number;
}

function stat(pid: number | string): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name is in parentheses and may hold anything; what follows starts with field 3.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const ticks = (field: number) => (Number(fields[field - 3]) * 1000) / ticksPerSecond;
    return {
      comm: text.slice(text.indexOf("(") + 1, text.lastIndexOf(")")),
      ppid: Number(fields[1]),
      own: ticks(14) + ticks(15),
      children: ticks(16) + ticks(17),
    };
  } catch {
    return undefined;
  }
}

export interface Cpu {
  own: number;
  children: number;
}

/**
 * CPU ms of a live process so far, in steps of a clock tick (10 ms on most machines). Of its children those that it has
 * waited for, and those that live, with what they in turn have waited for: an agent's spawner, and the shims that are gone.
 */
export function cpu(pid: number): Cpu {
  const found = stat(pid);
  if (!found) throw new Error(`process ${pid} is gone`);
  let { children } = found;
  for (const child of childrenOf(pid)) {
    const live = stat(child);
    children += live ? live.own + live.children : 0;
  }
  return { own: found.own, children };
}

export function childrenOf(pid: number): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.filter((name) => stat(name)?.ppid === pid).map(Number);
}

export interface Memory {
  rss: number;
  /** Pages that several processes share are counted in parts. */
  pss: number;
}

/** MB (10^6 bytes) of a process; zeros where it is gone. */
export function memory(pid: number): Memory {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    const mb = (key: string) => (Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1024) / 1e6;
    return { rss: mb("Rss"), pss: mb("Pss") };
  } catch {
    return { rss: 0, pss: 0 };
  }
}
