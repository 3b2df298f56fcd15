import { readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { uptime } from "node:os";

/** What the whole host uses: hostlet has no part of it to itself. */
export interface NodeFigures {
  /** ms since the epoch */
  time: number;
  startedAt: number;
  cpuNanoseconds: number;
  cores: number;
  memory: {
    totalBytes: number;
    usageBytes: number;
    workingSetBytes: number;
    rssBytes: number;
    pageFaults: number;
    majorPageFaults: number;
  };
  /** Of the file system that the pods are on. */
  fs?: FileSystemFigures;
  runningProcesses: number;
}

export interface FileSystemFigures {
  time: number;
  capacityBytes: number;
  availableBytes: number;
  usedBytes: number;
  inodes: number;
  inodesFree: number;
}

/** @param dir where the pods are */
export async function readNodeFigures(dir: string, now: number): Promise<NodeFigures> {
  const read = (name: string) => readFileSync(`/proc/${name}`, "latin1");
  const fs = await readFileSystem(dir, now);
  return {
    time: now,
    startedAt: now - Math.round(uptime() * 1000),
    ...parseCpu(read("stat")),
    memory: parseMemory(read("meminfo"), read("vmstat")),
    ...(fs && { fs }),
  };
}

async function readFileSystem(dir: string, time: number): Promise<FileSystemFigures | undefined> {
  try {
    const { bsize, blocks, bavail, bfree, files, ffree } = await statfs(dir);
    return {
      time,
      capacityBytes: blocks * bsize,
      availableBytes: bavail * bsize,
      usedBytes: (blocks - bfree) * bsize,
      inodes: files,
      inodesFree: ffree,
    };
  } catch {
    return undefined;
  }
}

/** The kernel tells user space hundredths of a second, whatever its own ticks are. */
const nanosecondsPerTick = 1e7;

/** @param stat /proc/stat */
export function parseCpu(stat: string): Pick<NodeFigures, "cpuNanoseconds" | "cores" | "runningProcesses"> {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? "")
    .split(" ")
    .map(Number);
  return {
    cpuNanoseconds: (user + nice + system + irq + softirq) * nanosecondsPerTick,
    cores: stat.match(/^cpu\d+ /gm)?.length ?? 1,
    runningProcesses: Number(/^procs_running (\d+)$/m.exec(stat)?.[1] ?? 0),
  };
}

export function parseMemory(meminfo: string, vmstat: string): NodeFigures["memory"] {
  const kib = (name: string) => {
    const found = new RegExp(`^${name.replace(/[()]/g, "\\$&")}: +(\\d+) kB$`, "m").exec(meminfo)?.[1];
    return Number(found ?? 0) * 1024;
  };
  const count = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(vmstat)?.[1] ?? 0);
  const totalBytes = kib("MemTotal");
  const usageBytes = totalBytes - kib("MemFree");
  return {
    totalBytes,
    usageBytes,
    workingSetBytes: Math.max(0, usageBytes - kib("Inactive(file)")),
    rssBytes: kib("AnonPages"),
    pageFaults: count("pgfault"),
    majorPageFaults: count("pgmajfault"),
  };
}
