import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ContainerID, ContainerResources } from "../contract.ts";

/** Where this process may make cgroups: of version 1 a directory for each controller, of version 2 one for all. */
export type CgroupRoots = { version: 1; memory: string; cpu: string; pids?: string } | { version: 2; dir: string };

type Qos = NonNullable<ContainerResources["qos"]>;

/** As the kubelet names them. */
const qosDirs: Record<Qos, string> = { Guaranteed: "guaranteed", Burstable: "burstable", BestEffort: "besteffort" };
/** The kubelet's: 100 ms. */
const periodUs = 100_000;
const leastQuotaUs = 1000;
const leastShares = 2;

/**
 * The cgroups below which this process's own may be made.
 * @param mountinfo text of /proc/self/mountinfo
 * @param own text of /proc/self/cgroup
 * @param writable whether a directory can be made in it
 */
export function cgroupRoots(
  mountinfo: string,
  own: string,
  writable: (dir: string) => boolean = isWritable,
  read: (file: string) => string = readText,
): CgroupRoots | undefined {
  const mounts = mountinfo.split("\n").flatMap((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const [, , , root = "", at = ""] = left.split(" ");
    const [type = "", , options = ""] = right.split(" ");
    return type === "cgroup" || type === "cgroup2" ? [{ type, root, at, options: options.split(",") }] : [];
  });
  const paths = own.split("\n").flatMap((line) => {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    return path === "" ? [] : [{ controllers: controllers.split(","), path }];
  });
  /** Of a controller; "" is version 2. */
  const dirOf = (controller: string): string | undefined => {
    const path = paths.find(({ controllers }) => controllers.includes(controller))?.path;
    const mount = mounts.find(({ type, options }) =>
      controller === "" ? type === "cgroup2" : options.includes(controller),
    );
    if (path === undefined || !mount) return undefined;
    // In a container the mount's root may be its own cgroup, or one above it.
    const below = mount.root !== "/" && path.startsWith(mount.root) ? path.slice(mount.root.length) : path;
    const dir = join(mount.at, below);
    return writable(dir) ? dir : undefined;
  };
  const [memory, cpu, pids, unified] = ["memory", "cpu", "pids", ""].map(dirOf);
  if (memory && cpu) return { version: 1, memory, cpu, ...(pids && { pids }) };
  const controllers = unified === undefined ? [] : read(join(unified, "cgroup.controllers")).trim().split(" ");
  return unified && controllers.includes("memory") && controllers.includes("cpu")
    ? { version: 2, dir: unified }
    : undefined;
}

/** What is written into a container's cgroup, file by file, in order. */
export function limitFiles(
  version: 1 | 2,
  { cpuRequestMillis = 0, cpuLimitMillis, memoryLimitBytes }: ContainerResources,
): { controller: "memory" | "cpu"; file: string; value: string }[] {
  const shares = Math.max(leastShares, Math.round((cpuRequestMillis * 1024) / 1000));
  const quota = cpuLimitMillis === undefined ? undefined : Math.max(leastQuotaUs, (cpuLimitMillis * periodUs) / 1000);
  const files: ReturnType<typeof limitFiles> = [];
  if (version === 1) {
    if (memoryLimitBytes !== undefined) {
      files.push({ controller: "memory", file: "memory.limit_in_bytes", value: String(memoryLimitBytes) });
    }
    files.push({ controller: "cpu", file: "cpu.shares", value: String(shares) });
    if (quota !== undefined) {
      files.push({ controller: "cpu", file: "cpu.cfs_period_us", value: String(periodUs) });
      files.push({ controller: "cpu", file: "cpu.cfs_quota_us", value: String(Math.round(quota)) });
    }
    return files;
  }
  if (memoryLimitBytes !== undefined) {
    files.push({ controller: "memory", file: "memory.max", value: String(memoryLimitBytes) });
    // One process that the kernel kills is a container that is broken: all of it ends.
    files.push({ controller: "memory", file: "memory.oom.group", value: "1" });
  }
  // As container runtimes convert shares.
  const weight = 1 + Math.floor(((Math.min(shares, 262_144) - 2) * 9999) / 262_142);
  files.push({ controller: "cpu", file: "cpu.weight", value: String(weight) });
  if (quota !== undefined)
    files.push({ controller: "cpu", file: "cpu.max", value: `${Math.round(quota)} ${periodUs}` });
  return files;
}

/**
 * Containers' cgroups, `<root>/hostlet/<qos>/pod<uid>/<container>.<attempt>`, below the agent's own. One is made before the
 * container starts and stays until the container is forgotten: it remembers whether the kernel killed for want of memory.
 */
export class Cgroups {
  readonly #roots: CgroupRoots;

  constructor(roots: CgroupRoots) {
    this.#roots = roots;
  }

  /** @returns undefined where this host lets us make none */
  static open(): Cgroups | undefined {
    const roots = cgroupRoots(readText("/proc/self/mountinfo"), readText("/proc/self/cgroup"));
    if (!roots) return undefined;
    try {
      if (roots.version === 2) delegate(roots.dir);
      const cgroups = new Cgroups(roots);
      // Whether it may, it learns by doing.
      for (const root of cgroups.#dirs) mkdirSync(join(root, "hostlet"), { recursive: true });
      return cgroups;
    } catch {
      return undefined;
    }
  }

  /**
   * Makes the cgroups of a container, with its limits.
   * @returns their directories, for the process to join
   */
  make(id: ContainerID, resources: ContainerResources): string[] {
    const below = placeOf(id, resources.qos ?? "BestEffort");
    const made = this.#dirs.map((root) => this.#makeBelow(root, below));
    for (const { controller, file, value } of limitFiles(this.#roots.version, resources)) {
      const root = this.#roots.version === 1 ? this.#roots[controller] : this.#roots.dir;
      writeFileSync(join(root, below, file), value);
    }
    return made;
  }

  /** Those that the container has; none where it was started without. */
  of(id: ContainerID): string[] {
    return this.#dirs.flatMap((root) =>
      places(id)
        .map((below) => join(root, below))
        .filter((dir) => existsSync(dir)),
    );
  }

  /** How often the kernel killed in it for want of memory. */
  oomKills(id: ContainerID): number {
    const file = this.#roots.version === 1 ? "memory.oom_control" : "memory.events";
    const counts = this.of(id).map((dir) => /^oom_kill (\d+)$/m.exec(readText(join(dir, file)))?.[1]);
    return Math.max(0, ...counts.map((count) => Number(count ?? 0)));
  }

  /** Removes them, and those above that are empty then. One in which something still dies is left. */
  remove(id: ContainerID): void {
    for (const root of this.#dirs) {
      for (const below of places(id).filter((place) => existsSync(join(root, place)))) {
        try {
          for (let at = below; at !== "."; at = dirname(at)) rmdirSync(join(root, at));
        } catch {
          // not empty: another container, or a process that is being ended
        }
      }
    }
  }

  get #dirs(): string[] {
    const roots = this.#roots;
    if (roots.version === 2) return [roots.dir];
    return [...new Set([roots.memory, roots.cpu, ...(roots.pids ? [roots.pids] : [])])];
  }

  #makeBelow(root: string, below: string): string {
    let dir = root;
    for (const name of below.split("/")) {
      dir = join(dir, name);
      mkdirSync(dir, { recursive: true });
      if (this.#roots.version === 2) enable(dirname(dir));
    }
    return dir;
  }
}

function placeOf({ podUID, container, attempt }: ContainerID, qos: Qos): string {
  return join("hostlet", qosDirs[qos], `pod${podUID}`, `${container}.${attempt}`);
}

function places(id: ContainerID): string[] {
  return (Object.keys(qosDirs) as Qos[]).map((qos) => placeOf(id, qos));
}

/** Version 2 has processes in leaves only: those of the agent's own cgroup move into one, unless it is the host's root. */
function delegate(dir: string): void {
  if (existsSync(join(dir, "cgroup.type"))) {
    const leaf = join(dir, "hostlet-agent");
    mkdirSync(leaf, { recursive: true });
    for (const pid of readText(join(dir, "cgroup.procs")).trim().split("\n").filter(Boolean)) {
      writeFileSync(join(leaf, "cgroup.procs"), pid);
    }
  }
  enable(dir);
}

function enable(dir: string): void {
  writeFileSync(join(dir, "cgroup.subtree_control"), "+memory +cpu +pids");
}

function isWritable(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Empty where there is none. */
function readText(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
