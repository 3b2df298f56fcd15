import type { Clock } from "../../clock.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { RunSlurm } from "./commands.ts";
import { parseSacct, parseSqueue, type QueuedJob, sacctFormat, squeueFormat } from "./queue.ts";
import { verdictOf } from "./states.ts";

/** Who wants to hear of the jobs of a pod. */
export interface Tracked {
  uid: string;
  jobId: number | undefined;
  /** Under which name it was submitted, for accounting where the id is not known. */
  jobName: string;
  /**
   * All jobs that are known of the pod; none where neither squeue nor accounting knows one.
   * @param asOf when the question was asked, ms since the epoch
   */
  seen(jobs: QueuedJob[], asOf: number): void;
}

/** Two calls of squeue are at least this far apart, whoever asks. */
const shortestMs = 1500;
const longestMs = 300_000;

/**
 * Asks Slurm for all pods at once: one squeue, and one sacct where squeue can't tell and there is accounting. While Slurm does not
 * answer it asks less and less often, and nobody hears anything: what is not known did not change.
 */
export class JobPoller {
  readonly #run: RunSlurm;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #everyMs: number;
  readonly #tracked = new Map<string, Tracked>();
  readonly #abort = new AbortController();
  #cancel: (() => void) | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #lastAt = 0;
  #polling = false;
  #again = false;
  #failures = 0;
  #accounting = true;

  constructor(options: { run: RunSlurm; clock: Clock; log: Logger; everyMs: number }) {
    this.#run = options.run;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#everyMs = options.everyMs;
  }

  track(tracked: Tracked): void {
    this.#tracked.set(tracked.uid, tracked);
    this.soon();
  }

  untrack(uid: string): void {
    this.#tracked.delete(uid);
  }

  /** There is news to be had; not more often than is good for Slurm. */
  soon(): void {
    if (this.#polling) this.#again = true;
    else if (this.#failures === 0) this.#at(Math.max(this.#clock.now() + 50, this.#lastAt + shortestMs));
  }

  stop(): void {
    this.#abort.abort();
    this.#cancel?.();
    this.#tracked.clear();
  }

  #at(time: number): void {
    if (this.#abort.signal.aborted || time >= this.#dueAt) return;
    this.#cancel?.();
    this.#dueAt = time;
    this.#cancel = this.#clock.after(time - this.#clock.now(), () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      void this.#poll();
    });
  }

  async #poll(): Promise<void> {
    if (this.#tracked.size === 0) return;
    this.#polling = true;
    this.#again = false;
    this.#lastAt = this.#clock.now();
    try {
      await this.#ask(this.#lastAt);
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#log.error({ err: error }, "unexpected error while asking Slurm");
    }
    this.#polling = false;
    const wait = Math.min(longestMs, this.#everyMs * 2 ** this.#failures);
    this.#at(this.#clock.now() + wait);
    if (this.#again) this.soon();
  }

  async #ask(asOf: number): Promise<void> {
    const { signal } = this.#abort;
    const user = String(process.getuid?.() ?? 0);
    const args = ["--noheader", "--all", "--states=all", `--user=${user}`, `--format=${squeueFormat}`];
    const answer = await this.#run("squeue", args, { signal });
    if (signal.aborted) return;
    if (answer.code !== 0) {
      if (this.#failures++ === 0)
        this.#log.warn({ says: answer.stderr }, "Slurm does not answer; pods stay as they are");
      return;
    }
    if (this.#failures > 0) this.#log.info("Slurm answers again");
    this.#failures = 0;
    const jobs = byUid(parseSqueue(answer.stdout));
    const tracked = [...this.#tracked.values()];
    const unclear = tracked.filter(({ uid }) => isUnclear(jobs.get(uid) ?? []));
    const told = await this.#account(unclear);
    if (signal.aborted) return;
    for (const one of tracked) {
      if (this.#tracked.get(one.uid) !== one) continue;
      const found = jobs.get(one.uid) ?? [];
      const known = told.filter((job) => job.uid === one.uid || job.id === one.jobId);
      one.seen([...found.filter((job) => !known.some((k) => k.id === job.id)), ...known], asOf);
    }
  }

  /** What accounting knows of jobs that have ended. Nothing where there is none, or it does not answer. */
  async #account(unclear: Tracked[]): Promise<QueuedJob[]> {
    if (unclear.length === 0 || !this.#accounting) return [];
    const ids = unclear.flatMap(({ jobId }) => jobId ?? []);
    const names = unclear.filter(({ jobId }) => jobId === undefined).map(({ jobName }) => jobName);
    const jobs: QueuedJob[] = [];
    for (const which of [
      ids.length > 0 && [`--jobs=${ids}`],
      names.length > 0 && [`--name=${names}`, "--starttime=now-7days"],
    ]) {
      if (!which) continue;
      const args = ["--noheader", "--parsable2", "--allocations", `--format=${sacctFormat}`, ...which];
      const { code, stdout, stderr } = await this.#run("sacct", args, { signal: this.#abort.signal });
      if (/storage is disabled/i.test(stderr) || (code === undefined && /not found/.test(stderr))) {
        this.#accounting = false;
        this.#log.info("there is no accounting here: who cancels a job, and the end of a forgotten one, stay unknown");
        return [];
      }
      if (code === 0) jobs.push(...parseSacct(stdout));
    }
    // Accounting lags behind: only an end is news.
    return jobs.filter((job) => verdictOf(job).kind === "over");
  }
}

function isUnclear(jobs: QueuedJob[]): boolean {
  return jobs.length === 0 || jobs.some((job) => job.state === "CANCELLED" && job.cancelledBy === undefined);
}

function byUid(jobs: QueuedJob[]): Map<string, QueuedJob[]> {
  const groups = new Map<string, QueuedJob[]>();
  for (const job of jobs) groups.set(job.uid, [...(groups.get(job.uid) ?? []), job]);
  return groups;
}
