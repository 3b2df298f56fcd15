import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { NodeConfig } from "../../config/nodeConfig.ts";
import { HostletError } from "../../errors.ts";
import type { LogOptions } from "../../kube/logOptions.ts";
import { type Pod, type PodRef, type PodStatus, podRef } from "../../kube/types.ts";
import { inheritedEnv } from "../../kubelet/env/inherit.ts";
import type { Eviction } from "../../kubelet/eviction.ts";
import { findPackage } from "../../runtimes/process/shim.ts";
import type { ContainerStreams, ExecRequest } from "../../runtimes/streams.ts";
import type { Provider, ProviderCapabilities, ProviderContext, ProviderInfo } from "../contract.ts";
import { readCapacity } from "./capacity.ts";
import { type RunSlurm, slurmCommands } from "./commands.ts";
import { SharedFiles } from "./files.ts";
import { installFor } from "./install.ts";
import { jobLog } from "./jobLog.ts";
import { type Lateness, SlurmPod, type SlurmPodDeps } from "./pod.ts";
import { JobPoller } from "./poller.ts";
import { Pool } from "./pool.ts";
import { type SlurmSite, slurmSite } from "./site.ts";
import { connectStep, execStep } from "./steps.ts";
import { planSubmission } from "./submission.ts";

/** Jobs tell by way of files; nothing wakes anybody on a network file system. */
const lookEveryMs = 500;
const submissionsAtATime = 4;

export interface SlurmProviderOptions {
  /** @default that of this process */
  env?: NodeJS.ProcessEnv;
  /** @default a minute, and 5 s: a network file system's caches */
  late?: Lateness;
}

/** A pod is one batch job, in which hostlet's own core runs it. */
export class SlurmProvider implements Provider {
  readonly info: ProviderInfo = { name: "slurm", runtimeVersion: `slurm://${findPackage().version}` };
  readonly #context: ProviderContext;
  readonly #config: NodeConfig;
  readonly #site: SlurmSite;
  readonly #files: SharedFiles;
  readonly #run: RunSlurm;
  readonly #env: Record<string, string>;
  readonly #poller: JobPoller;
  readonly #deps: SlurmPodDeps;
  readonly #pods = new Map<string, SlurmPod>();
  /** Found again, and not yet handed over by the node. */
  readonly #unseen = new Set<string>();
  #program: string[] = [];
  #cancelLook: () => void = () => {};
  #stopped = false;

  /** @throws {HostletError} ConfigInvalid */
  constructor(
    context: ProviderContext,
    config: NodeConfig,
    { env = process.env, late = { byItself: 60_000, killed: 5_000 } }: SlurmProviderOptions = {},
  ) {
    this.#context = context;
    this.#config = config;
    this.#site = slurmSite(config);
    this.#files = new SharedFiles(join(config.slurmDir, config.nodeName));
    this.#env = slurmEnvironment(env, config.inheritEnv);
    this.#run = slurmCommands(this.#site.paths, this.#env);
    const { clock, log } = context;
    this.#poller = new JobPoller({ run: this.#run, clock, log, everyMs: config.slurmPollInterval });
    this.#deps = {
      ...context,
      files: this.#files,
      run: this.#run,
      poller: this.#poller,
      config,
      pool: new Pool(submissionsAtATime),
      late,
      plan: (pod, dir) =>
        planSubmission({
          site: this.#site,
          pod,
          dir,
          program: this.#program,
          memoryOverheadBytes: config.slurmMemoryOverhead,
        }),
    };
  }

  capabilities(): ProviderCapabilities {
    return {
      exec: true,
      attach: "a pod in a Slurm job can't be attached to; use kubectl logs -f, or kubectl exec",
      portForward: true,
      stats: "what a Slurm job uses is told by sstat and sacct, not by hostlet",
    };
  }

  async recover(): Promise<Pod[]> {
    const { log } = this.#context;
    if (this.#site.ignored.length > 0) {
      log.warn({ keys: this.#site.ignored }, "keys of SlurmConfig.yaml that have no meaning for hostlet");
    }
    this.#files.make();
    const node = this.#config.slurmNodeBinary ?? process.execPath;
    this.#program = [node, "--max-semi-space-size=1", installFor(this.#config.slurmDir, findPackage())];
    const numbers = this.#files.messageNumbers();
    for (const uid of this.#files.uids()) {
      const agent = this.#files.readAgent(uid);
      if (!agent) {
        log.error({ uid }, "what an earlier agent left of a pod can't be read; its directory is left alone");
        continue;
      }
      const number = numbers.get(uid) ?? 0;
      const message = number > 0 ? this.#files.readMessage(uid, number) : undefined;
      const found = { agent, messageNumber: message ? number : 0, ...(message && { message }) };
      this.#pods.set(uid, new SlurmPod(this.#deps, agent.pod, found, () => this.#pods.delete(uid)));
      this.#unseen.add(uid);
    }
    for (const pod of this.#pods.values()) pod.begin();
    this.#lookLater();
    return this.list();
  }

  create(pod: Pod): void {
    const { uid } = podRef(pod);
    if (this.#pods.has(uid)) {
      this.update(pod);
      return;
    }
    const one = new SlurmPod(this.#deps, pod, undefined, () => this.#pods.delete(uid));
    this.#pods.set(uid, one);
    one.begin();
  }

  update(pod: Pod): void {
    const { uid } = podRef(pod);
    this.#pods.get(uid)?.update(pod, this.#unseen.delete(uid));
  }

  delete(pod: Pod, gracePeriodSeconds: number): void {
    const ref = podRef(pod);
    const one = this.#pods.get(ref.uid);
    this.#unseen.delete(ref.uid);
    if (one) one.delete(gracePeriodSeconds);
    else this.#context.report({ pod: ref, status: {}, gone: true });
  }

  evict(uid: string, eviction: Eviction): void {
    this.#pods.get(uid)?.evict(eviction);
  }

  get(uid: string): PodStatus | undefined {
    return this.#pods.get(uid)?.status;
  }

  list(): Pod[] {
    return [...this.#pods.values()].map(({ pod }) => pod);
  }

  logs(pod: PodRef, container: string, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const one = this.#pods.get(pod.uid);
    if (!one) throw new HostletError("NotFound", `pod "${pod.name}" not found on this node`);
    return jobLog(one, this.#files.dir(pod.uid), container, options, this.#context.clock, signal);
  }

  async exec(pod: PodRef, container: string, request: ExecRequest, signal: AbortSignal): Promise<ContainerStreams> {
    const dir = this.#files.dir(pod.uid);
    return execStep(this.#steps(pod), this.#pods.get(pod.uid), dir, container, request, signal);
  }

  async portForward(pod: PodRef, port: number, signal: AbortSignal): Promise<Duplex> {
    return connectStep(this.#steps(pod), this.#pods.get(pod.uid), port, signal);
  }

  capacity(signal: AbortSignal): Promise<Record<string, string>> {
    return readCapacity(this.#run, this.#config.slurmPartition, signal);
  }

  #steps(pod: PodRef) {
    return { srun: this.#site.paths.srun, program: this.#program, env: this.#env, podName: pod.name };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelLook();
    this.#poller.stop();
    for (const pod of this.#pods.values()) pod.stop();
  }

  #lookLater(): void {
    if (this.#stopped) return;
    this.#cancelLook = this.#context.clock.after(lookEveryMs, () => {
      this.#look();
      this.#lookLater();
    });
  }

  /** What the jobs have written: one directory, and the files that are new in it. */
  #look(): void {
    if (this.#pods.size === 0) return;
    try {
      for (const [uid, number] of this.#files.messageNumbers()) {
        const pod = this.#pods.get(uid);
        if (!pod || pod.over || number <= pod.messageNumber) continue;
        const message = this.#files.readMessage(uid, number);
        if (message) pod.heard(number, message);
      }
    } catch (error) {
      this.#context.log.warn({ err: error }, "the directory that is shared with the jobs can't be read");
    }
  }
}

/** Of Slurm's commands, and so of the jobs: what containers may inherit, and what says which Slurm is meant. */
function slurmEnvironment(env: NodeJS.ProcessEnv, inherit: readonly string[]): Record<string, string> {
  return inheritedEnv(env, [...inherit, "SLURM_CONF", "SLURM_JWT", "SBATCH_*", "SLURM_TIME_FORMAT"]);
}
