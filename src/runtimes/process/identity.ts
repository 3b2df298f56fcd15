import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** What tells one process from every other, ever: a pid alone comes back, also on another host with the same home. */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat. */
  startTime: string;
  bootID: string;
  /** The number in /proc/PID/ns/pid. */
  pidNamespace: string;
  host: string;
}

interface Stat {
  state: string;
  startTime: string;
}

/** Undefined where there is no such process. */
export function parseStat(text: string): Stat | undefined {
  // The command's name comes in parentheses and may hold anything, parentheses and spaces too.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, startTime] = [fields[0], fields[19]];
  return state && startTime ? { state, startTime } : undefined;
}

function readStat(pid: number): Stat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return undefined;
  }
}

let own: ProcessIdentity | undefined;

/** This process. */
export function ownIdentity(): ProcessIdentity {
  own ??= {
    pid: process.pid,
    startTime: readStat(process.pid)?.startTime ?? "0",
    bootID: readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(),
    pidNamespace: /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "",
    host: hostname(),
  };
  return own;
}

/** Whether a process of this boot and pid namespace still lives; a zombie does not. */
export function isAlive(pid: number, startTime: string): boolean {
  const stat = readStat(pid);
  return stat !== undefined && stat.startTime === startTime && stat.state !== "Z" && stat.state !== "X";
}
