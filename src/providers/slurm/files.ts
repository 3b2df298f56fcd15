import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { NodeConfig } from "../../config/nodeConfig.ts";
import type { PodEvent } from "../../kube/events.ts";
import type { Pod, PodStatus } from "../../kube/types.ts";
import type { Eviction } from "../../kubelet/eviction.ts";
import type { CarriedObjects } from "./objects.ts";

/** What a job is given; written before it is submitted, and never changed. */
export interface JobRecord {
  version: 1;
  pod: Pod;
  objects: CarriedObjects;
  /** The node's configuration, by which the core in the job works. */
  config: NodeConfig;
}

/** What the agent asks of a job that runs; each request stands for all before it. */
export interface JobRequest {
  version: 1;
  pod: Pod;
  objects: CarriedObjects;
  delete?: { gracePeriodSeconds: number };
  evict?: Eviction;
}

/** What a job tells of its pod; each message stands for all before it. */
export interface JobMessage {
  version: 1;
  jobId: number;
  /** Where the containers run. */
  host: string;
  status: PodStatus;
  /** The core has nothing left to do: the pod has ended, or was deleted. */
  over: boolean;
  /** Slurm, not the agent, asked for the end at this time; ms since the epoch. */
  interruptedAt?: number;
  /** The last ones, with ascending numbers. */
  events: (Omit<PodEvent, "pod"> & { seq: number })[];
}

/** What the agent must remember of a pod, beside what it can find again. */
export interface AgentRecord {
  version: 1;
  pod: Pod;
  /** When this node took the pod in charge. ms since the epoch */
  startedAt: number;
  /** Written before sbatch is called: its answer may be lost. */
  submittedAt?: number;
  jobId?: number;
  evicted?: Eviction;
  /** The last status, once nothing can change it any more. */
  final?: PodStatus;
}

/**
 * The directory that agent and jobs share, below the one that the user names: `<root>/pods/<uid>` and `<root>/status`, all of it
 * 0700. Made for network file systems: what is there is told by reading one directory, and a file that exists never
 * changes, as its name has a number. Only the agent's own record is replaced.
 */
export class SharedFiles {
  readonly root: string;
  readonly #status: string;

  constructor(root: string) {
    this.root = root;
    this.#status = join(root, "status");
  }

  make(): void {
    for (const dir of [this.root, join(this.root, "pods"), this.#status])
      mkdirSync(dir, { recursive: true, mode: 0o700 });
  }

  dir(uid: string): string {
    return join(this.root, "pods", uid);
  }

  uids(): string[] {
    return readdirSync(join(this.root, "pods"));
  }

  readAgent(uid: string): AgentRecord | undefined {
    return readJson<AgentRecord>(join(this.dir(uid), "agent.json"));
  }

  writeAgent(uid: string, record: AgentRecord): void {
    mkdirSync(this.dir(uid), { recursive: true, mode: 0o700 });
    writeWhole(this.dir(uid), "agent.json", JSON.stringify(record));
  }

  readRecord(uid: string): JobRecord | undefined {
    return readJson<JobRecord>(join(this.dir(uid), "record.json"));
  }

  writeRecord(uid: string, record: JobRecord): void {
    writeWhole(this.dir(uid), "record.json", JSON.stringify(record));
    // The job's own output: Slurm would make it readable for all.
    writeFileSync(join(this.dir(uid), "job.out"), "", { mode: 0o600, flag: "a" });
  }

  /** @returns its number */
  writeRequest(uid: string, request: JobRequest): number {
    const numbers = numbersOf(this.dir(uid), "request.");
    const next = (numbers.at(-1) ?? 0) + 1;
    writeWhole(this.dir(uid), `request.${next}`, JSON.stringify(request));
    for (const old of numbers) rmSync(join(this.dir(uid), `request.${old}`), { force: true });
    return next;
  }

  /** The newest request, where it is newer than that of number `since`. */
  readRequest(uid: string, since: number): { number: number; request: JobRequest } | undefined {
    const number = numbersOf(this.dir(uid), "request.").at(-1);
    if (number === undefined || number <= since) return undefined;
    const request = readJson<JobRequest>(join(this.dir(uid), `request.${number}`));
    return request && { number, request };
  }

  /** Every message that is there, by UID; the highest number counts. One readdir. */
  messageNumbers(): Map<string, number> {
    const newest = new Map<string, number>();
    for (const name of readdirSync(this.#status)) {
      const dot = name.lastIndexOf(".");
      const number = Number(name.slice(dot + 1));
      if (dot <= 0 || name.startsWith(".") || !Number.isSafeInteger(number)) continue;
      const uid = name.slice(0, dot);
      if (number > (newest.get(uid) ?? 0)) newest.set(uid, number);
    }
    return newest;
  }

  readMessage(uid: string, number: number): JobMessage | undefined {
    return readJson<JobMessage>(join(this.#status, `${uid}.${number}`));
  }

  /** @param before number of the message that it stands for, 0 for the first */
  writeMessage(uid: string, number: number, message: JobMessage, before: number): void {
    const draft = join(this.#status, `.${uid}.${number}`);
    writeFileSync(draft, JSON.stringify(message), { mode: 0o600 });
    renameSync(draft, join(this.#status, `${uid}.${number}`));
    if (before > 0) rmSync(join(this.#status, `${uid}.${before}`), { force: true });
  }

  /**
   * Only one job runs a pod, however often it was submitted. The same job may claim again, after Slurm has started it anew.
   * @returns the id of the job that has it
   */
  claim(uid: string, jobId: number): number {
    const claim = join(this.dir(uid), "claim");
    const draft = join(this.dir(uid), `.claim.${jobId}`);
    writeFileSync(draft, String(jobId), { mode: 0o600 });
    try {
      linkSync(draft, claim);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    } finally {
      unlinkSync(draft);
    }
    return Number(readFileSync(claim, "utf8"));
  }

  /** Removes all of a pod; what a network file system still holds open is left to the next try. */
  async remove(uid: string): Promise<void> {
    for (const name of readdirSync(this.#status)) {
      if (name.startsWith(`${uid}.`) || name.startsWith(`.${uid}.`)) rmSync(join(this.#status, name), { force: true });
    }
    await rm(this.dir(uid), { recursive: true, force: true, maxRetries: 3 });
  }
}

function numbersOf(dir: string, prefix: string): number[] {
  const names = readdirSync(dir).filter((name) => name.startsWith(prefix));
  return names
    .map((name) => Number(name.slice(prefix.length)))
    .filter((number) => Number.isSafeInteger(number) && number > 0)
    .sort((a, b) => a - b);
}

/** Undefined where it is not there (any more), not whole, or of a version that is not ours. */
function readJson<T extends { version: 1 }>(path: string): T | undefined {
  try {
    const value = JSON.parse(readFileSync(path, "utf8")) as T | null;
    return value?.version === 1 ? value : undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof SyntaxError || code === "ENOENT" || code === "ESTALE") return undefined;
    throw error;
  }
}

function writeWhole(dir: string, name: string, text: string): void {
  const draft = join(dir, `.${name}.draft`);
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, join(dir, name));
}
