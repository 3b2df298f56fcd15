import type { Clock } from "../../clock.ts";
import { sleep } from "../../clock.ts";
import type { NodeConfig } from "../../config/nodeConfig.ts";
import type { EventSink } from "../../kube/events.ts";
import type { ObjectSource } from "../../kube/objectSource.ts";
import type { PodUpdate } from "../../kube/podUpdate.ts";
import { type Pod, type PodRef, type PodStatus, podRef } from "../../kube/types.ts";
import type { Eviction } from "../../kubelet/eviction.ts";
import { referencedObjects } from "../../kubelet/references.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { RunSlurm } from "./commands.ts";
import type { AgentRecord, JobMessage, SharedFiles } from "./files.ts";
import { type CarriedObjects, collectObjects } from "./objects.ts";
import type { JobPoller } from "./poller.ts";
import type { Pool } from "./pool.ts";
import { jobName, type QueuedJob } from "./queue.ts";
import { refusalOf, sentence } from "./refusals.ts";
import { type JobVerdict, lostVerdict, verdictOf } from "./states.ts";
import { slurmPodStatus } from "./status.ts";
import type { Submission } from "./submission.ts";

export interface SlurmPodDeps {
  files: SharedFiles;
  run: RunSlurm;
  poller: JobPoller;
  objects: ObjectSource;
  events: EventSink;
  clock: Clock;
  log: Logger;
  config: NodeConfig;
  /** sbatch is not called more often at a time than this has room. */
  pool: Pool;
  late: Lateness;
  plan(pod: Pod, dir: string): Submission | { refused: string };
  report(update: PodUpdate): void;
}

/** What an earlier agent and its job left. */
export interface FoundPod {
  agent: AgentRecord;
  message?: JobMessage;
  messageNumber: number;
}

/** How long a job's last word may take through the shared file system, in ms. */
export interface Lateness {
  /** After an end of the job's own: it is there, or will be. */
  byItself: number;
  /** After one that Slurm made. */
  killed: number;
}

/** How long Slurm may take to say why it ended a job whose containers have ended. */
const namedMs = 30_000;
/** After this a submission without an answer is taken to have come to nothing. A second job of the pod would not run it. */
const lostMs = 30_000;
const firstRetryMs = 2_000;
const longestRetryMs = 120_000;
/** After the grace period, until Slurm is asked to end the job whatever it does. */
const killAfterMs = 3_000;

/** One pod and its job, from the submission to the end. */
export class SlurmPod {
  readonly ref: PodRef;
  readonly #deps: SlurmPodDeps;
  readonly #log: Logger;
  readonly #gone: () => void;
  readonly #stopped = new AbortController();
  /** Of what only a submission needs. */
  readonly #preparing = new AbortController();
  readonly #timers = new Map<string, () => void>();
  #pod: Pod;
  #agent: AgentRecord;
  /** It was there before this agent. */
  readonly #found: boolean;
  #objects: CarriedObjects = { configMaps: {}, secrets: {}, tokens: {} };
  #submitting = false;
  #waiting: { reason: string; message: string } | undefined;
  #refused: { reason: string; message: string } | undefined;
  #cancelled = false;
  #verdict: JobVerdict | undefined;
  /** When the verdict came, or the job was first missed. */
  #overSince: number | undefined;
  #missingSince: number | undefined;
  /** When the job said that it has come to its end. */
  #saidOverAt: number | undefined;
  #message: JobMessage | undefined;
  #messageNumber = 0;
  #eventSeq = 0;
  #endingSince: number | undefined;
  #deleting: { gracePeriodSeconds: number; killAt: number } | undefined;
  #removing = false;
  #status: PodStatus | undefined;
  #reported = "";
  readonly #followers = new Set<() => void>();

  /** @param found what an earlier agent left; absent for a new pod */
  constructor(deps: SlurmPodDeps, pod: Pod, found: FoundPod | undefined, gone: () => void) {
    this.#deps = deps;
    this.#pod = pod;
    this.ref = podRef(pod);
    this.#gone = gone;
    this.#log = deps.log.child({ pod: `${this.ref.namespace}/${this.ref.name}`, uid: this.ref.uid });
    this.#agent = found?.agent ?? { version: 1, pod, startedAt: deps.clock.now() };
    this.#found = found !== undefined;
    if (found?.message) {
      this.#message = found.message;
      this.#messageNumber = found.messageNumber;
      // What happened while no agent was here is not told as if it were now.
      this.#eventSeq = found.message.events.at(-1)?.seq ?? 0;
    }
    this.#status = this.#agent.final ?? this.#message?.status;
  }

  get pod(): Pod {
    return this.#pod;
  }

  get status(): PodStatus | undefined {
    return this.#status;
  }

  get jobId(): number | undefined {
    return this.#agent.jobId;
  }

  get host(): string | undefined {
    return this.#message?.host;
  }

  runs(container: string): boolean {
    const { initContainerStatuses = [], containerStatuses = [] } = this.#status ?? {};
    const status = [...initContainerStatuses, ...containerStatuses].find(({ name }) => name === container);
    return !this.over && status?.state?.running !== undefined;
  }

  get over(): boolean {
    return this.#agent.final !== undefined || this.#stopped.signal.aborted;
  }

  get messageNumber(): number {
    return this.#messageNumber;
  }

  /** Calls back once when it is over; the returned function cancels. */
  onOver(callback: () => void): () => void {
    this.#followers.add(callback);
    return () => this.#followers.delete(callback);
  }

  /** Goes on where an earlier agent was, or begins. */
  begin(): void {
    if (this.#agent.final) return;
    const { submittedAt, evicted } = this.#agent;
    if (submittedAt === undefined) this.#background(this.#submit());
    else {
      this.#watchObjects();
      this.#track();
    }
    if (evicted) this.#end();
  }

  update(pod: Pod, first: boolean): void {
    const metadata = ({ metadata }: Pod) => JSON.stringify([metadata?.labels, metadata?.annotations]);
    const changed = metadata(pod) !== metadata(this.#pod);
    this.#pod = pod;
    if (changed && this.#message && !this.over) this.#request();
    if (first) this.#reported = "";
    this.#sync();
  }

  delete(gracePeriodSeconds: number): void {
    const killAt = this.#deps.clock.now() + gracePeriodSeconds * 1000;
    if (this.#deleting && this.#deleting.killAt <= killAt) return;
    this.#deleting = { gracePeriodSeconds, killAt };
    if (this.#agent.final) this.#background(this.#remove());
    else this.#end();
  }

  evict(eviction: Eviction): void {
    if (this.over || this.#agent.evicted || this.#deleting) return;
    this.#save({ evicted: eviction });
    this.#end();
  }

  /** The job wrote a new message. */
  heard(number: number, message: JobMessage): void {
    if (number <= this.#messageNumber || this.over) return;
    this.#messageNumber = number;
    this.#message = message;
    for (const { seq, ...event } of message.events) {
      if (seq > this.#eventSeq) this.#deps.events.emit({ pod: this.ref, ...event });
      this.#eventSeq = Math.max(seq, this.#eventSeq);
    }
    if (this.#agent.jobId !== message.jobId) this.#save({ jobId: message.jobId });
    this.#sync();
  }

  stop(): void {
    this.#stopped.abort();
    this.#preparing.abort();
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    for (const follower of this.#followers) follower();
  }

  #save(change: Partial<AgentRecord>): void {
    this.#agent = { ...this.#agent, ...change };
    this.#deps.files.writeAgent(this.ref.uid, this.#agent);
  }

  #background(work: Promise<void>): void {
    void work.catch((error) => {
      if (this.#stopped.signal.aborted) return;
      this.#log.error({ err: error }, "unexpected error; the pod is looked at again");
      this.#later("again", firstRetryMs, () => this.#sync());
    });
  }

  #later(name: string, ms: number, callback: () => void): void {
    this.#timers.get(name)?.();
    if (this.#stopped.signal.aborted) return;
    this.#timers.set(
      name,
      this.#deps.clock.after(ms, () => {
        this.#timers.delete(name);
        callback();
      }),
    );
  }

  #event(type: "Normal" | "Warning", reason: string, message: string): void {
    this.#deps.events.emit({ pod: this.ref, type, reason, message });
  }

  async #submit(): Promise<void> {
    this.#submitting = true;
    try {
      const plan = this.#plan();
      if (plan) await this.#submitPlan(plan);
    } finally {
      this.#submitting = false;
      if (this.#endingSince !== undefined && !this.#stopped.signal.aborted) this.#carryOutEnd();
    }
    this.#sync();
  }

  #plan(): Submission | undefined {
    const plan = this.#deps.plan(this.#pod, this.#deps.files.dir(this.ref.uid));
    if ("refused" in plan) {
      this.#refuse("SlurmSubmitRefused", plan.refused);
      return undefined;
    }
    if (plan.warnings.length > 0) this.#event("Warning", "SlurmOptionsIgnored", plan.warnings.join("; "));
    return plan;
  }

  #refuse(reason: string, message: string): void {
    this.#refused = { reason, message };
    this.#event("Warning", reason, message);
  }

  async #submitPlan(plan: Submission): Promise<void> {
    const { clock, files, config, run, pool } = this.#deps;
    const { signal } = this.#preparing;
    for (let tries = 0; !signal.aborted; tries++) {
      if (tries > 0) await this.#pause(tries);
      if (signal.aborted || !(await this.#collect())) continue;
      // Everything that the next agent needs to find the job, before there is one.
      this.#save({ pod: this.#pod, submittedAt: clock.now() });
      files.writeRecord(this.ref.uid, { version: 1, pod: this.#pod, objects: this.#objects, config });
      const answer = await pool.run(() => run("sbatch", plan.args, { input: plan.script }));
      const id = /^(\d+)(;|$)/m.exec(answer.stdout)?.[1];
      if (answer.code === 0 && id !== undefined) {
        this.#save({ jobId: Number(id) });
        this.#event("Normal", "Submitted", `Submitted batch job ${id}`);
        this.#watchObjects();
        this.#track();
        return;
      }
      const refusal = refusalOf(answer.stderr);
      if (refusal.kind === "lost") {
        this.#waiting = { reason: "SlurmUnavailable", message: refusal.message };
        this.#track();
        return;
      }
      const { submittedAt: _, ...notSubmitted } = this.#agent;
      this.#agent = notSubmitted;
      this.#save({});
      if (refusal.kind === "refused") {
        this.#refuse("SlurmSubmitRefused", refusal.message);
        return;
      }
      const { reason, message } = refusal;
      if (this.#waiting?.message !== message) this.#event("Warning", reason, message);
      this.#waiting = { reason, message };
      this.#sync();
    }
  }

  /** Reads what the pod refers to. @returns whether all of it is there */
  async #collect(): Promise<boolean> {
    try {
      const { objects, missing, refreshAt } = await collectObjects(
        this.#pod,
        this.#deps.objects,
        this.#preparing.signal,
      );
      this.#objects = objects;
      this.#refreshAt(refreshAt);
      if (missing.length === 0) return true;
      this.#waiting = { reason: "CreateContainerConfigError", message: `${missing.join(", ")} not found` };
    } catch (error) {
      if (this.#preparing.signal.aborted) return false;
      this.#waiting = { reason: "CreateContainerConfigError", message: (error as Error).message };
    }
    this.#sync();
    return false;
  }

  /** Until it is tried again: a while, or the change of an object that it waits for. */
  async #pause(tries: number): Promise<void> {
    const { clock, objects } = this.#deps;
    const abort = new AbortController();
    const signal = AbortSignal.any([abort.signal, this.#preparing.signal]);
    for (const { kind, namespace, name } of referencedObjects(this.#pod)) {
      objects.watch(kind, namespace, name, () => abort.abort(), signal);
    }
    await sleep(clock, Math.min(longestRetryMs, firstRetryMs * 2 ** (tries - 1)), signal).catch(() => {});
    abort.abort();
  }

  /** A running job gets new versions of what its volumes are made from. */
  #watchObjects(): void {
    const { objects } = this.#deps;
    const seen = new Set<string>();
    for (const { kind, namespace, name } of referencedObjects(this.#pod)) {
      if (seen.has(`${kind}/${name}`)) continue;
      seen.add(`${kind}/${name}`);
      objects.watch(kind, namespace, name, () => this.#background(this.#refresh()), this.#preparing.signal);
    }
    if (this.#found) this.#background(this.#refresh());
  }

  async #refresh(): Promise<void> {
    const before = JSON.stringify(this.#objects);
    const { objects, missing, refreshAt } = await collectObjects(this.#pod, this.#deps.objects, this.#preparing.signal);
    this.#refreshAt(refreshAt);
    // An object that was deleted: the volumes keep what they have.
    if (missing.length > 0 || this.over || JSON.stringify(objects) === before) return;
    this.#objects = objects;
    if (this.#agent.jobId !== undefined) this.#request();
  }

  #refreshAt(time: number | undefined): void {
    if (time === undefined) return;
    this.#later("tokens", Math.max(1000, time - this.#deps.clock.now()), () => this.#background(this.#refresh()));
  }

  #track(): void {
    const { poller } = this.#deps;
    poller.track({
      uid: this.ref.uid,
      jobId: this.#agent.jobId,
      jobName: jobName(this.ref),
      seen: (jobs, asOf) => this.#seen(jobs, asOf),
    });
  }

  #seen(jobs: QueuedJob[], asOf: number): void {
    if (this.over) return;
    const job = this.#choose(jobs);
    if (!job) this.#missed(asOf);
    else {
      this.#missingSince = undefined;
      if (this.#agent.jobId !== job.id) {
        this.#save({ jobId: job.id });
        this.#track();
        if (this.#endingSince !== undefined) this.#carryOutEnd();
      }
      this.#waiting = undefined;
      this.#judge(verdictOf(job));
    }
    this.#sync();
  }

  /** Of several jobs of this pod only one has run it, or will. */
  #choose(jobs: QueuedJob[]): QueuedJob | undefined {
    const id = this.#message?.jobId ?? this.#agent.jobId;
    const alive = jobs.filter((job) => verdictOf(job).kind !== "over");
    return jobs.find((job) => job.id === id) ?? alive.at(-1) ?? jobs.at(-1);
  }

  #judge(verdict: JobVerdict): void {
    this.#verdict = verdict;
    if (verdict.kind !== "over") this.#overSince = undefined;
    else this.#overSince ??= this.#deps.clock.now();
  }

  /** Neither squeue nor accounting knows a job. */
  #missed(asOf: number): void {
    const { submittedAt = 0, jobId } = this.#agent;
    if (this.#verdict?.kind === "over" || asOf < submittedAt + 2_000) return;
    this.#missingSince ??= asOf;
    if (jobId !== undefined) {
      if (!this.#message || asOf - this.#missingSince >= 5_000) this.#judge(lostVerdict(jobId));
      return;
    }
    if (asOf < submittedAt + lostMs || this.#submitting) return;
    if (this.#endingSince !== undefined) this.#cancelled = true;
    else this.#background(this.#submit());
  }

  #request(): void {
    const { files } = this.#deps;
    const { evicted } = this.#agent;
    files.writeRequest(this.ref.uid, {
      version: 1,
      pod: this.#pod,
      objects: this.#objects,
      ...(evicted && { evict: evicted }),
      ...(this.#deleting && { delete: { gracePeriodSeconds: this.#deleting.gracePeriodSeconds } }),
    });
  }

  /** The pod is to end: what is under way for its start is given up. */
  #end(): void {
    this.#endingSince ??= this.#deps.clock.now();
    this.#preparing.abort();
    if (!this.#submitting) this.#carryOutEnd();
  }

  #carryOutEnd(): void {
    if (this.over) return;
    if (this.#agent.submittedAt === undefined) {
      this.#cancelled = true;
      this.#sync();
      return;
    }
    this.#request();
    if (this.#agent.jobId !== undefined) this.#background(this.#askToEnd(this.#agent.jobId, 0));
    const grace = this.#deleting?.gracePeriodSeconds ?? this.#agent.evicted?.gracePeriodSeconds ?? 30;
    const killAt = this.#deleting?.killAt ?? this.#deps.clock.now() + grace * 1000;
    this.#later("kill", Math.max(0, killAt - this.#deps.clock.now()) + killAfterMs, () =>
      this.#background(this.#kill(0)),
    );
  }

  /** A job that waits is cancelled; in one that runs the core is told to look for its request. */
  async #askToEnd(id: number, tries: number): Promise<void> {
    const { run, poller } = this.#deps;
    const signal = this.#stopped.signal;
    const pending = await run("scancel", ["--state=PENDING", String(id)], { signal });
    const running = await run("scancel", ["--batch", "--signal=USR1", String(id)], { signal });
    poller.soon();
    if (this.over || (pending.code === 0 && running.code === 0)) return;
    // A job that is over is refused too: its end is told by the poll.
    this.#log.debug({ says: sentence(running.stderr || pending.stderr) }, "the job could not be told to end");
    this.#later("ask", Math.min(longestRetryMs, firstRetryMs * 2 ** tries), () =>
      this.#background(this.#askToEnd(id, tries + 1)),
    );
  }

  async #kill(tries: number): Promise<void> {
    const { run, poller } = this.#deps;
    if (this.over) return;
    if (this.#agent.jobId !== undefined) {
      await run("scancel", [String(this.#agent.jobId)], { signal: this.#stopped.signal });
      poller.soon();
    }
    this.#later("kill", Math.min(longestRetryMs, 10_000 * 2 ** tries), () => this.#background(this.#kill(tries + 1)));
  }

  /** What is known, compared with what was said. */
  #sync(): void {
    if (this.#stopped.signal.aborted || this.#removing) return;
    if (!this.#agent.final) {
      const waitMs = this.#unsettledMs();
      const status = slurmPodStatus({
        pod: this.#pod,
        now: this.#deps.clock.now(),
        startedAt: this.#agent.startedAt,
        previous: this.#status?.conditions ?? this.#pod.status?.conditions ?? [],
        ...(this.#waiting && { waiting: this.#waiting }),
        ...(this.#refused && { refused: this.#refused }),
        ...(this.#cancelled && { cancelled: true }),
        ...(this.#verdict && { verdict: this.#verdict }),
        ...(this.#message && { message: this.#message }),
        ...(this.#agent.evicted && { evicted: this.#agent.evicted }),
      });
      if (waitMs === undefined) this.#status = status;
      else if (waitMs === 0) this.#settle(status);
      else this.#later("late", waitMs, () => this.#sync());
    }
    this.#report();
    if (this.#agent.final && this.#deleting) this.#background(this.#remove());
  }

  /** 0: nothing will change any more. Undefined: the pod lives on. Else: it has ended, and how is known at the latest then. */
  #unsettledMs(): number | undefined {
    const now = this.#deps.clock.now();
    if (this.#refused || this.#cancelled) return 0;
    const verdict = this.#verdict;
    const over = verdict?.kind === "over";
    if (this.#message?.over) {
      if (over || !this.#needsSlurmsWord()) return 0;
      this.#saidOverAt ??= now;
      this.#deps.poller.soon();
      return Math.max(0, this.#saidOverAt + namedMs - now);
    }
    if (!over) return undefined;
    // A job that was cancelled while it waited has nothing to say.
    if (!this.#message && this.#endingSince !== undefined && !verdict.byItself) return 0;
    return Math.max(
      0,
      (this.#overSince ?? now) + (verdict.byItself ? this.#deps.late.byItself : this.#deps.late.killed) - now,
    );
  }

  /** Whether it was Slurm that ended the containers, for a reason that it alone knows. */
  #needsSlurmsWord(): boolean {
    const { interruptedAt, status } = this.#message ?? {};
    if (interruptedAt !== undefined) return true;
    if (this.#endingSince !== undefined) return false;
    return (status?.containerStatuses ?? []).some(({ state }) => state?.terminated?.exitCode === 137);
  }

  #settle(status: PodStatus): void {
    this.#status = status;
    // Slurm ended the job to start it again: the pod is over, and so is the job.
    if (this.#message?.interruptedAt !== undefined && this.#verdict?.kind !== "over") {
      this.#background(this.#deps.run("scancel", [String(this.#message.jobId)]).then(() => {}));
    }
    this.#save({ final: status });
    this.#deps.poller.untrack(this.ref.uid);
    this.#preparing.abort();
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    for (const follower of this.#followers) follower();
  }

  #report(): void {
    const text = JSON.stringify(this.#status);
    if (!this.#status || text === this.#reported) return;
    this.#reported = text;
    this.#deps.report({ pod: this.ref, status: this.#status, gone: false });
  }

  async #remove(): Promise<void> {
    if (this.#removing) return;
    this.#removing = true;
    for (let tries = 0; ; tries++) {
      try {
        await this.#deps.files.remove(this.ref.uid);
        break;
      } catch (error) {
        this.#log.warn({ err: error }, "the pod's directory could not be removed yet");
        await sleep(this.#deps.clock, Math.min(60_000, 500 * 2 ** tries), this.#stopped.signal);
      }
    }
    this.#stopped.abort();
    this.#gone();
    this.#deps.report({ pod: this.ref, status: this.#status ?? {}, gone: true });
  }
}
