import { hostname, networkInterfaces } from "node:os";
import { basename, dirname, join } from "node:path";
import { type Clock, sleep } from "../../clock.ts";
import type { NodeConfig } from "../../config/nodeConfig.ts";
import { HostletError } from "../../errors.ts";
import type { PodEvent } from "../../kube/events.ts";
import type { Container, Pod, PodStatus } from "../../kube/types.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Provider, ProviderContext } from "../contract.ts";
import { type JobMessage, type JobRequest, SharedFiles } from "./files.ts";
import { jobStateDir } from "./jobLog.ts";
import { CarriedSource } from "./objects.ts";
import { shellWords } from "./shellWords.ts";
import { jobAnnotation } from "./submission.ts";

export interface RunnerOptions {
  /** The pod's directory, which this job shares with the agent. */
  dir: string;
  env: NodeJS.ProcessEnv;
  clock: Clock;
  log: Logger;
  /** The kubelet core over this host. */
  open(context: ProviderContext, config: NodeConfig, hostIP: string): Provider;
  /** `ended`: Slurm ends the job. `asked`: the agent has a request. */
  onSignal(callback: (what: "ended" | "asked") => void): () => void;
}

const requestEveryMs = 2_000;
/** After a signal that announces a request: how often, and how long, it is looked for. */
const announced = { everyMs: 100, forMs: 60_000 };
/** Between SIGTERM and SIGKILL Slurm leaves KillWait, 30 s where nobody has changed it. */
const interruptedSeconds = 25;
const eventsKept = 50;
const messageRetryMs = 1_000;

/** In the job: runs the pod of one record to its end. @returns what the job exits with: 0 where the pod succeeded */
export async function runPod(options: RunnerOptions): Promise<number> {
  const uid = basename(options.dir);
  const files = new SharedFiles(dirname(dirname(options.dir)));
  const record = files.readRecord(uid);
  if (!record)
    throw new HostletError("NotFound", `${options.dir}: there is no record of a pod; it may have been deleted`);
  const jobId = Number(options.env.SLURM_JOB_ID ?? 0);
  const owner = files.claim(uid, jobId);
  if (owner !== jobId) {
    options.log.warn({ owner, jobId }, "the pod is another job's; this one does nothing");
    return 0;
  }
  const latest = files.readRequest(uid, 0)?.request;
  const pod = withMpi(withoutStatus(latest?.pod ?? record.pod), options.env);
  return new Runner(options, files, uid, jobId, pod, record.config, latest ?? record).run();
}

/** The times in the pod's status are the agent's; here the pod begins with the job. */
function withoutStatus({ status: _, ...pod }: Pod): Pod {
  return pod;
}

/** KNoC's annotation: the main containers are started through mpiexec. */
function withMpi(pod: Pod, env: NodeJS.ProcessEnv): Pod {
  const text = jobAnnotation(pod, "mpi-flags");
  const words = text === undefined ? undefined : shellWords(text);
  if (!words) return pod;
  const flags = words.length === 1 && words[0] === "true" ? [] : words;
  const mpi = ["mpiexec", "-np", env.SLURM_NTASKS ?? "1", ...flags];
  const wrapped = (container: Container) =>
    container.command?.length ? { ...container, command: [...mpi, ...container.command] } : container;
  return { ...pod, spec: { ...pod.spec!, containers: (pod.spec?.containers ?? []).map(wrapped) } };
}

class Runner {
  readonly #options: RunnerOptions;
  readonly #files: SharedFiles;
  readonly #uid: string;
  readonly #jobId: number;
  readonly #source: CarriedSource;
  readonly #provider: Provider;
  readonly #events: JobMessage["events"] = [];
  readonly #over = new AbortController();
  #pod: Pod;
  #requestNumber = 0;
  #lookUntil = 0;
  #status: PodStatus = {};
  #ended = false;
  #deleting = false;
  #interruptedAt: number | undefined;
  #eventSeq: number;
  #number: number;
  #written: number;
  #dirty = false;
  #writing: Promise<void> | undefined;
  #wake: () => void = () => {};

  constructor(
    options: RunnerOptions,
    files: SharedFiles,
    uid: string,
    jobId: number,
    pod: Pod,
    config: NodeConfig,
    { objects }: { objects: JobRequest["objects"] },
  ) {
    this.#options = options;
    this.#files = files;
    this.#uid = uid;
    this.#jobId = jobId;
    this.#pod = pod;
    this.#source = new CarriedSource(objects);
    this.#number = files.messageNumbers().get(uid) ?? 0;
    this.#written = this.#number;
    // A job that Slurm has started anew goes on counting.
    this.#eventSeq = this.#number === 0 ? 0 : (files.readMessage(uid, this.#number)?.events.at(-1)?.seq ?? 0);
    const { clock, log } = options;
    const context: ProviderContext = {
      objects: this.#source,
      events: { emit: (event) => this.#event(event) },
      clock,
      log,
      report: ({ status, gone }) => this.#reported(status, gone),
    };
    this.#provider = options.open(context, jobConfig(config, options.dir), ownAddress());
  }

  async run(): Promise<number> {
    const off = this.#options.onSignal((what) => this.#signalled(what));
    try {
      await this.#provider.recover();
      this.#provider.create(this.#pod);
      this.#look();
      while (!this.#ended) await this.#pause();
      await this.#writing;
      return exitCodeOf(this.#status);
    } finally {
      this.#over.abort();
      off();
      await this.#provider.stop();
    }
  }

  /** Until the next look for requests, or until there is something to do. */
  async #pause(): Promise<void> {
    const { clock } = this.#options;
    const soon = clock.now() < this.#lookUntil;
    const wake = new AbortController();
    this.#wake = () => wake.abort();
    // A timer of the clock does not hold the process.
    const hold = setInterval(() => {}, 60_000);
    await sleep(clock, soon ? announced.everyMs : requestEveryMs, wake.signal).catch(() => {});
    clearInterval(hold);
    if (!this.#ended) this.#look();
  }

  #signalled(what: "ended" | "asked"): void {
    const { clock, log } = this.#options;
    this.#look();
    if (what === "asked") {
      this.#lookUntil = clock.now() + announced.forMs;
      this.#wake();
      return;
    }
    if (this.#ended || this.#interruptedAt !== undefined || this.#deleting) return;
    log.warn("Slurm ends the job");
    this.#interruptedAt = clock.now();
    const grace = Math.min(interruptedSeconds, this.#pod.spec?.terminationGracePeriodSeconds ?? 30);
    const reason = { reason: "SlurmJobEnding", message: "Slurm ends the job" };
    this.#provider.evict(this.#uid, { ...reason, gracePeriodSeconds: grace });
  }

  /** Does what the agent asks for now. */
  #look(): void {
    let found: ReturnType<SharedFiles["readRequest"]>;
    try {
      found = this.#files.readRequest(this.#uid, this.#requestNumber);
    } catch (error) {
      this.#options.log.warn({ err: error }, "the agent's requests can't be read; trying again");
      return;
    }
    if (!found) return;
    this.#requestNumber = found.number;
    this.#lookUntil = 0;
    const { pod, objects, evict, delete: deletion } = found.request;
    this.#source.replace(objects);
    this.#pod = withMpi(withoutStatus(pod), this.#options.env);
    this.#provider.update(this.#pod);
    if (evict) this.#provider.evict(this.#uid, evict);
    if (deletion) {
      this.#deleting = true;
      this.#provider.delete(this.#pod, deletion.gracePeriodSeconds);
    }
  }

  #event({ pod: _, ...event }: PodEvent): void {
    this.#events.push({ ...event, seq: ++this.#eventSeq });
    if (this.#events.length > eventsKept) this.#events.shift();
    this.#write();
  }

  #reported(status: PodStatus, gone: boolean): void {
    if (status.phase) this.#status = status;
    const { phase } = status;
    this.#ended ||= gone || (!this.#deleting && (phase === "Succeeded" || phase === "Failed"));
    this.#write();
    if (this.#ended) this.#wake();
  }

  /** Soon, and again until it holds: a full or absent file system must not swallow how the pod ended. */
  #write(): void {
    this.#dirty = true;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  async #writeAll(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#dirty) {
      this.#dirty = false;
      try {
        // Read before and written after: what comes meanwhile is in the next one.
        this.#files.writeMessage(this.#uid, ++this.#number, this.#message(), this.#written);
        this.#written = this.#number;
      } catch (error) {
        this.#options.log.error({ err: error }, "the pod's status could not be written; trying again");
        this.#dirty = true;
        await new Promise((resolve) => setTimeout(resolve, messageRetryMs));
      }
    }
  }

  #message(): JobMessage {
    return {
      version: 1,
      jobId: this.#jobId,
      host: this.#options.env.SLURMD_NODENAME ?? hostname(),
      status: this.#status,
      over: this.#ended,
      ...(this.#interruptedAt !== undefined && { interruptedAt: this.#interruptedAt }),
      events: this.#events,
    };
  }
}

/** The node's configuration, for the one pod of a job. */
function jobConfig(config: NodeConfig, dir: string): NodeConfig {
  return {
    ...config,
    provider: "local",
    runtime: "process",
    stateDir: jobStateDir(dir),
    podsDir: join(dir, "pods"),
    // The job's environment is what containers may inherit, with what Slurm and the pod's pre-exec lines added.
    inheritEnv: ["*"],
  };
}

function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
}

/** The highest of the main containers', so that Slurm's own records say the same. */
function exitCodeOf(status: PodStatus): number {
  if (status.phase === "Succeeded") return 0;
  const codes = (status.containerStatuses ?? []).map(({ state }) => state?.terminated?.exitCode ?? 0);
  return Math.max(1, ...codes);
}
