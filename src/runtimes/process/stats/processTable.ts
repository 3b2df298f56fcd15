import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";

/** One process, from /proc/PID/stat. CPU times are in clock ticks. */
export interface ProcessFigures {
  pid: number;
  parent: number;
  startTime: string;
  /** Its own. */
  ticks: number;
  /** Of its children that have ended and were waited for, and of theirs. */
  childTicks: number;
}

export type ProcessTable = ReadonlyMap<number, ProcessFigures>;

/** How many are read before others of this process get their turn. */
const batch = 200;

/**
 * All processes of this host, in one pass and in the order of their pids: parents mostly come first. So a child that ends while
 * this reads is missing rather than counted twice, and the next pass finds its time with its parent.
 */
export async function readProcessTable(root = "/proc"): Promise<ProcessTable> {
  const table = new Map<number, ProcessFigures>();
  const pids = readdirSync(root).filter((name) => /^\d+$/.test(name));
  for (const [index, pid] of pids.entries()) {
    if (index % batch === batch - 1) await new Promise(setImmediate);
    const text = readSmall(`${root}/${pid}/stat`);
    const figures = text === undefined ? undefined : parseFigures(text);
    if (figures) table.set(figures.pid, figures);
  }
  return table;
}

const shared = Buffer.allocUnsafe(4096);

/** A file of /proc, which is read whole or not at all; undefined where the process is gone. Half of readFileSync's time. */
function readSmall(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return undefined;
  }
  try {
    return shared.toString("latin1", 0, readSync(fd, shared, 0, shared.length, 0));
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** Undefined for what is no line of /proc/PID/stat. */
export function parseFigures(text: string): ProcessFigures | undefined {
  const pid = Number.parseInt(text, 10);
  // The command's name comes in parentheses and may hold anything, parentheses and spaces too.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ", 20);
  const at = (index: number) => Number(fields[index]);
  const figures = {
    pid,
    parent: at(1),
    startTime: fields[19] ?? "",
    ticks: at(11) + at(12),
    childTicks: Math.max(0, at(13)) + Math.max(0, at(14)),
  };
  return Number.isSafeInteger(figures.ticks + figures.childTicks + figures.parent + pid) ? figures : undefined;
}

/** Its processes' pids by their parent's. */
export function childrenOf(table: ProcessTable): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const { pid, parent } of table.values()) {
    const siblings = children.get(parent);
    if (siblings) siblings.push(pid);
    else children.set(parent, [pid]);
  }
  return children;
}

/** All that descend from `root`, without itself. */
export function descendants(children: ReadonlyMap<number, readonly number[]>, root: number): number[] {
  const found = [...(children.get(root) ?? [])];
  for (let index = 0; index < found.length; index++) found.push(...(children.get(found[index]!) ?? []));
  return found;
}

/** In pages: all that is resident, and of that what files and shared memory back. Undefined where the process is gone. */
export function readPages(pid: number, root = "/proc"): { resident: number; shared: number } | undefined {
  const [, resident, files] = readSmall(`${root}/${pid}/statm`)?.split(" ", 3).map(Number) ?? [];
  return resident === undefined || files === undefined ? undefined : { resident, shared: files };
}

/** Time on a CPU of its first thread, in ns: what a process has whose ticks are still 0. 0 where the kernel doesn't tell. */
export function readScheduled(pid: number, root = "/proc"): number {
  return Number.parseInt(readSmall(`${root}/${pid}/schedstat`) ?? "", 10) || 0;
}

const pageSizeKey = 6n;
const ticksKey = 17n;

/** The kernel's units, from this process's auxiliary vector: bytes of a page, clock ticks a second. */
export function kernelUnits(): { pageBytes: number; ticksPerSecond: number } {
  const units = { pageBytes: 4096, ticksPerSecond: 100 };
  const vector = readFileSync("/proc/self/auxv");
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    const value = Number(vector.readBigUInt64LE(at + 8));
    if (vector.readBigUInt64LE(at) === pageSizeKey) units.pageBytes = value;
    if (vector.readBigUInt64LE(at) === ticksKey) units.ticksPerSecond = value;
  }
  return units;
}
