import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../clock.ts";
import type { ContainerID, ContainerStats } from "../../contract.ts";
import { readClaim } from "../claim.ts";
import { ownIdentity } from "../identity.ts";
import { readPayload } from "../payload.ts";
import { type CgroupFigures, cgroupMount, cgroupPath, readCgroup } from "./cgroup.ts";
import {
  childrenOf,
  descendants,
  kernelUnits,
  type ProcessTable,
  readPages,
  readProcessTable,
  readScheduled,
} from "./processTable.ts";
import { SteadyCounter } from "./steadyCounter.ts";

/** A container that runs. */
export interface Running {
  id: ContainerID;
  /** Of the attempt, unique. */
  name: string;
  /** The shim's directory. */
  dir: string;
  startedAt?: number | undefined;
}

/** What is known of a container from one reading to the next. */
interface Followed {
  shim: number;
  shimStart: string;
  payload: number;
  /** Its own cgroup, where it has one. */
  cgroup: string | undefined;
  cpu: SteadyCounter;
  /** What its first thread had used when no clock tick was booked yet; ns. */
  scheduled: number;
  logs: { bytes: number | undefined; at: number };
}

/** The size of logs is looked up as often as a kubelet does it. */
const logsKeptMs = 10_000;

type TreeFigures = Required<CgroupFigures>;

/** Reads what containers use: from their cgroup where they have one of their own, otherwise from /proc over their whole tree. */
export class StatsReader {
  readonly #clock: Clock;
  readonly #units = kernelUnits();
  readonly #followed = new Map<string, Followed>();
  readonly #cgroups = cgroupMount(readFileSync("/proc/self/mountinfo", "latin1"));

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** At most one pass over /proc, for all. A container that ended meanwhile, or never ran, is left out. */
  async read(running: readonly Running[]): Promise<ContainerStats[]> {
    this.#forgetOthers(running);
    const table = await readProcessTable();
    const children = childrenOf(table);
    const time = this.#clock.now();
    const all: ContainerStats[] = [];
    for (const { id, name, dir, startedAt } of running) {
      const followed = this.#follow(name, dir);
      if (!followed) continue;
      const own = followed.cgroup === undefined ? undefined : readCgroup(followed.cgroup);
      const tree = own ? undefined : this.#tree(followed, table, children);
      const figures = own ?? tree;
      if (!figures) continue;
      const cpu = figures.cpuNanoseconds ?? 0;
      if (time - followed.logs.at >= logsKeptMs) followed.logs = { bytes: logSize(dir), at: time };
      const logBytes = followed.logs.bytes;
      all.push({
        id,
        time,
        ...(startedAt !== undefined && { startedAt }),
        ...figures,
        cpuNanoseconds: own ? cpu : followed.cpu.next(cpu),
        ...(logBytes !== undefined && { logBytes }),
      });
    }
    return all;
  }

  #forgetOthers(running: readonly Running[]): void {
    const names = new Set(running.map(({ name }) => name));
    for (const name of this.#followed.keys()) if (!names.has(name)) this.#followed.delete(name);
  }

  #follow(name: string, dir: string): Followed | undefined {
    const known = this.#followed.get(name);
    if (known) return known;
    const claim = readClaim(dir);
    const payload = readPayload(dir);
    const self = ownIdentity();
    if (!claim || !payload || claim.bootID !== self.bootID || claim.pidNamespace !== self.pidNamespace)
      return undefined;
    const followed = {
      shim: claim.pid,
      shimStart: claim.startTime,
      payload: payload.pid,
      cgroup: this.#ownCgroup(payload.pid, claim.pid),
      cpu: new SteadyCounter(),
      scheduled: 0,
      logs: { bytes: undefined, at: Number.NEGATIVE_INFINITY },
    };
    this.#followed.set(name, followed);
    return followed;
  }

  /** A cgroup that the shim is not in was made for the payload alone. */
  #ownCgroup(payload: number, shim: number): string | undefined {
    if (this.#cgroups === undefined) return undefined;
    try {
      const pathOf = (pid: number) => cgroupPath(readFileSync(`/proc/${pid}/cgroup`, "latin1"));
      const path = pathOf(payload);
      return path === undefined || path === pathOf(shim) ? undefined : join(this.#cgroups, path);
    } catch {
      return undefined;
    }
  }

  /** Every process that descends from the shim; and, of children that have ended, what the kernel has booked on who waited for them. */
  #tree(
    followed: Followed,
    table: ProcessTable,
    children: ReadonlyMap<number, readonly number[]>,
  ): TreeFigures | undefined {
    const { shim, shimStart, payload } = followed;
    const root = table.get(shim);
    if (root?.startTime !== shimStart) return undefined;
    const { ticksPerSecond, pageBytes } = this.#units;
    const nanosecondsPerTick = 1e9 / ticksPerSecond;
    const pids = descendants(children, shim);
    let [total, resident, shared] = [root.childTicks, 0, 0];
    for (const pid of pids) {
      const { ticks = 0, childTicks = 0 } = table.get(pid) ?? {};
      total += ticks + childTicks;
      const pages = readPages(pid);
      resident += pages?.resident ?? 0;
      shared += pages?.shared ?? 0;
    }
    if (total === 0 && followed.scheduled === 0) followed.scheduled = readScheduled(payload);
    // Files are the page cache's, shared with everybody: what is left is the container's alone.
    const anonymous = Math.max(0, resident - shared) * pageBytes;
    return {
      cpuNanoseconds: total > 0 ? total * nanosecondsPerTick : followed.scheduled,
      memoryUsageBytes: resident * pageBytes,
      memoryWorkingSetBytes: anonymous,
      memoryRssBytes: anonymous,
      processes: pids.length,
    };
  }
}

function logSize(dir: string): number | undefined {
  let bytes = 0;
  try {
    for (const name of readdirSync(dir)) if (name.endsWith(".log")) bytes += statSync(join(dir, name)).size;
    return bytes;
  } catch {
    return undefined;
  }
}
