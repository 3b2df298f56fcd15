import type { Duplex } from "node:stream";
import type { Clock } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import type { LogOptions } from "../../kube/logOptions.ts";
import { type ContainerStatus, type Pod, type PodRef, type PodStatus, podRef } from "../../kube/types.ts";
import type { KubeletDeps } from "../../kubelet/deps.ts";
import { DeviceLedger } from "../../kubelet/devices/ledger.ts";
import type { Eviction } from "../../kubelet/eviction.ts";
import type { PodNetwork } from "../../kubelet/network/podNetwork.ts";
import type { PodFiles } from "../../kubelet/podFiles.ts";
import { type PodStart, PodWorker } from "../../kubelet/podWorker.ts";
import { referencedObjects } from "../../kubelet/references.ts";
import { type AgentRights, readAgentRights } from "../../kubelet/security/agentRights.ts";
import { DiskUsage } from "../../kubelet/volumes/usage.ts";
import { WorkQueue } from "../../kubelet/workQueue.ts";
import type { ContainerExit, ContainerID, ContainerRuntime, RuntimeContainer } from "../../runtimes/contract.ts";
import type { AttachRequest, ContainerStreams, ExecRequest } from "../../runtimes/streams.ts";
import type { PodStats, Provider, ProviderCapabilities, ProviderContext, ProviderInfo } from "../contract.ts";
import { connectToLoopback } from "./loopback.ts";
import { podStats } from "./podStats.ts";

export interface LocalProviderOptions {
  context: ProviderContext;
  runtime: ContainerRuntime;
  files: PodFiles;
  preparer: KubeletDeps["preparer"];
  /** Who has the node's devices; the preparer's, too. @default it gives none out */
  devices?: DeviceLedger;
  /** Address of this node, which its pods share. */
  hostIP: string;
  /** @default pods share the host's */
  network?: PodNetwork;
  /** What this agent may. @default asks the kernel */
  rights?: AgentRights;
  /** What the runtime sees to, for a pod. @default what it does without isolation */
  features?: KubeletDeps["features"];
}

/** The kubelet core as a Provider: turns pods into containers and drives one container runtime. */
export class LocalProvider implements Provider {
  readonly #deps: KubeletDeps;
  readonly #workers = new Map<string, PodWorker>();
  /** Containers of pods without a record that can be read, by UID: the pod's own object gives them a worker again. */
  readonly #unclaimed = new Map<string, RuntimeContainer[]>();
  readonly #usage: DiskUsage;
  /** Networks of pods that are gone. */
  readonly #ending = new Set<Promise<void>>();

  constructor({ context, runtime, files, preparer, hostIP, ...options }: LocalProviderOptions) {
    this.#usage = new DiskUsage(context.clock);
    const { rights = readAgentRights(), features = () => runtime.features?.(undefined) ?? new Set() } = options;
    const { devices = new DeviceLedger() } = options;
    const core = { runtime, files, preparer, hostIP, rights, features, devices };
    this.#deps = { ...context, ...core, queue: new WorkQueue() };
    if (options.network) this.#deps.network = options.network;
  }

  /** A runtime that is a daemon's tells its name and version once it has been asked for them, in `recover`. */
  get info(): ProviderInfo {
    const { name, version } = this.#deps.runtime;
    return { name: "local", runtimeVersion: `${name}://${version}` };
  }

  capabilities(): ProviderCapabilities {
    const { runtime } = this.#deps;
    const cannot = `the container runtime ${runtime.name} can't do it`;
    return {
      exec: runtime.exec ? true : cannot,
      attach: runtime.attach ? true : cannot,
      portForward: true,
      stats: runtime.stats ? true : `the container runtime ${runtime.name} tells no figures`,
    };
  }

  async recover(): Promise<Pod[]> {
    const { runtime, files, log } = this.#deps;
    const containers = await runtime.recover({ exited: (container) => this.#exited(container) });
    const byPod = groupByPod(containers);
    const { records, broken } = files.list();
    // The newest last: of two pods of one name it has the link, and is the one that its name means.
    for (const { pod, version: _, ...known } of records.sort((a, b) => a.startedAt - b.startedAt)) {
      const { uid } = podRef(pod);
      this.#linkAgain(pod);
      const attempts = byPod.get(uid) ?? [];
      this.#begin({ pod, ...known, attempts, recorded: true });
      byPod.delete(uid);
    }
    for (const { uid, why } of broken) {
      log.error({ uid, why }, "the record of a pod can't be read; the pod waits for its object from the API server");
      if (!byPod.has(uid)) byPod.set(uid, []);
    }
    for (const [uid, attempts] of byPod) this.#unclaimed.set(uid, attempts);
    return this.list();
  }

  create(pod: Pod): void {
    const { uid } = podRef(pod);
    if (this.#workers.has(uid)) {
      this.update(pod);
      return;
    }
    const attempts = this.#unclaimed.get(uid) ?? lostAttempts(pod, this.#deps.clock);
    this.#unclaimed.delete(uid);
    const startedAt = Date.parse(pod.status?.startTime ?? "") || this.#deps.clock.now();
    this.#begin({ pod, startedAt, attempts, recorded: false });
  }

  update(pod: Pod): void {
    const { uid } = podRef(pod);
    if (this.#unclaimed.has(uid)) this.create(pod);
    else this.#workers.get(uid)?.update(pod);
  }

  delete(pod: Pod, gracePeriodSeconds: number): void {
    const ref = podRef(pod);
    if (this.#unclaimed.has(ref.uid)) this.create(pod);
    const worker = this.#workers.get(ref.uid);
    if (!worker) {
      this.#deps.report({ pod: ref, status: {}, gone: true });
      return;
    }
    worker.update(pod);
    worker.delete(gracePeriodSeconds);
  }

  evict(uid: string, eviction: Eviction): void {
    this.#workers.get(uid)?.evict(eviction);
  }

  get(uid: string): PodStatus | undefined {
    return this.#workers.get(uid)?.status;
  }

  list(): Pod[] {
    const unclaimed = [...this.#unclaimed].map(([uid, attempts]) => unknownPod(uid, attempts));
    return [...unclaimed, ...[...this.#workers.values()].map((worker) => worker.pod)];
  }

  logs(pod: PodRef, container: string, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { id } = this.#worker(pod).logTarget(container, options.previous);
    return this.#deps.runtime.logs(id, { ...options, previous: false }, signal);
  }

  async stats(): Promise<PodStats[]> {
    const containers = (await this.#deps.runtime.stats?.()) ?? [];
    const pods = [...this.#workers.values()].map(({ pod }) => pod);
    return podStats(pods, containers, (pod) => this.#deps.files.paths(pod).dir, this.#usage);
  }

  async exec(pod: PodRef, container: string, request: ExecRequest, signal: AbortSignal): Promise<ContainerStreams> {
    const { runtime } = this.#deps;
    if (!runtime.exec) throw new HostletError("NotSupported", `the container runtime ${runtime.name} can't exec`);
    return runtime.exec(this.#running(pod, container), request, signal);
  }

  async attach(pod: PodRef, container: string, request: AttachRequest, signal: AbortSignal): Promise<ContainerStreams> {
    const { runtime } = this.#deps;
    if (!runtime.attach) throw new HostletError("NotSupported", `the container runtime ${runtime.name} can't attach`);
    const id = this.#running(pod, container);
    // Input that a container does not take is not taken from a client, who is not refused for it: so does a kubelet.
    const stdin = request.stdin && this.#worker(pod).takesStdin(container);
    return runtime.attach(id, { stdin }, signal);
  }

  async portForward(pod: PodRef, port: number, signal: AbortSignal): Promise<Duplex> {
    const worker = this.#worker(pod);
    if (worker.status?.phase !== "Running") {
      throw new HostletError("NotFound", `pod "${pod.name}" is not running: no port of it can be reached`);
    }
    const { hostIP } = this.#deps;
    return worker.podIP === hostIP ? connectToLoopback(port, signal) : connectToLoopback(port, signal, [worker.podIP]);
  }

  async stop(): Promise<void> {
    this.#usage.stop();
    this.#deps.queue.stop();
    for (const worker of this.#workers.values()) worker.stop();
    await this.#deps.runtime.stop();
    await Promise.all(this.#ending);
  }

  #worker(pod: PodRef): PodWorker {
    const worker = this.#workers.get(pod.uid);
    if (!worker) throw new HostletError("NotFound", `pod "${pod.name}" not found on this node`);
    return worker;
  }

  #running(pod: PodRef, container: string): ContainerID {
    const { id, exit } = this.#worker(pod).logTarget(container, false);
    if (!exit) return id;
    throw new HostletError("NotFound", `container "${container}" in pod "${pod.name}" is not running`);
  }

  #exited(container: RuntimeContainer): void {
    const { podUID, container: name, attempt } = container.id;
    this.#workers.get(podUID)?.exited(container);
    const attempts = this.#unclaimed.get(podUID);
    const index = attempts?.findIndex(({ id }) => id.container === name && id.attempt === attempt) ?? -1;
    if (attempts && index >= 0) attempts[index] = container;
  }

  /** An agent that was killed between record and link left a pod that its user can't find. */
  #linkAgain(pod: Pod): void {
    try {
      this.#deps.files.link(pod);
    } catch (error) {
      this.#deps.log.warn({ err: error }, "the pod goes on without its link in the pods directory");
    }
  }

  #gone(uid: string): void {
    this.#workers.delete(uid);
    const failed = (error: unknown) => this.#deps.log.warn({ err: error, uid }, "the pod's network could not be ended");
    const ending = this.#deps.network?.tearDown(uid).catch(failed);
    if (!ending) return;
    this.#ending.add(ending);
    void ending.then(() => this.#ending.delete(ending));
  }

  /** No API server lets such a pod in, but a file or another protocol may bring one: it must not take the agent with it. */
  #malformed({ pod }: PodStart, cause: unknown): void {
    const ref = podRef(pod);
    const message = `the pod's specification is not one of Kubernetes: ${(cause as Error).message}`;
    this.#deps.log.warn({ err: cause, pod: ref }, "a pod is malformed");
    this.#deps.events.emit({ pod: ref, type: "Warning", reason: "PodInvalid", message });
    this.#deps.report({ pod: ref, status: { phase: "Failed", reason: "PodInvalid", message }, gone: false });
  }

  #begin(start: PodStart): void {
    const { uid } = podRef(start.pod);
    try {
      // What is looked through later, too: better that it fails now.
      referencedObjects(start.pod);
      this.#workers.set(uid, new PodWorker(this.#deps, start, () => this.#gone(uid)));
    } catch (cause) {
      this.#malformed(start, cause);
    }
  }
}

/** Stands for a pod whose record can't be read: enough to end its containers, should the API server not know it. */
function unknownPod(uid: string, attempts: RuntimeContainer[]): Pod {
  const names = new Set(attempts.map((attempt) => attempt.id.container));
  const containers = [...names].map((name) => ({ name }));
  return { metadata: { uid, namespace: "unknown", name: uid }, spec: { containers } };
}

function groupByPod(containers: RuntimeContainer[]): Map<string, RuntimeContainer[]> {
  const groups = new Map<string, RuntimeContainer[]>();
  for (const container of containers) {
    const group = groups.get(container.id.podUID);
    if (group) group.push(container);
    else groups.set(container.id.podUID, [container]);
  }
  return groups;
}

/**
 * Containers that the cluster saw running and of which nothing is left here (the state directory was lost): they ended,
 * nobody knows how. Under restartPolicy Never they must not run a second time.
 */
function lostAttempts(pod: Pod, clock: Clock): RuntimeContainer[] {
  const statuses: ContainerStatus[] = [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.ephemeralContainerStatuses ?? []),
  ];
  return statuses
    .filter((status) => status.containerID)
    .map((status) => ({
      id: { podUID: podRef(pod).uid, container: status.name, attempt: status.restartCount },
      restartCount: status.restartCount,
      containerID: status.containerID!,
      exit: knownExit(status, clock) ?? {
        exitCode: 137,
        reason: "ContainerStatusUnknown",
        message: "Nothing is known on the node of a container that had been started",
        finishedAt: clock.now(),
      },
    }));
}

/** How the container ended, where the cluster knows; one that waits for its restart has it as its last state. */
function knownExit({ state, lastState }: ContainerStatus, clock: Clock): ContainerExit | undefined {
  const known = state?.terminated ?? (state?.waiting && lastState?.terminated);
  if (!known) return undefined;
  const { exitCode, signal, reason = "Error", message, startedAt, finishedAt } = known;
  return {
    exitCode,
    reason,
    ...(signal !== undefined && { signal }),
    ...(message !== undefined && { message }),
    ...(startedAt !== undefined && { startedAt: Date.parse(startedAt) }),
    finishedAt: Date.parse(finishedAt ?? "") || clock.now(),
  };
}
