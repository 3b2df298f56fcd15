import type { Duplex } from "node:stream";
import type { Clock } from "../clock.ts";
import type { EventSink } from "../kube/events.ts";
import type { LogOptions } from "../kube/logOptions.ts";
import type { ObjectSource } from "../kube/objectSource.ts";
import type { PodUpdate } from "../kube/podUpdate.ts";
import type { Pod, PodRef, PodStatus, Taint } from "../kube/types.ts";
import type { Eviction } from "../kubelet/eviction.ts";
import type { ContainerStats } from "../runtimes/contract.ts";
import type { AttachRequest, ContainerStreams, ExecRequest } from "../runtimes/streams.ts";
import type { AgentMetrics } from "../telemetry/agentMetrics.ts";
import type { Logger } from "../telemetry/log.ts";

/** What a Provider is given. It gets nothing else, and never talks to the API server itself. */
export interface ProviderContext {
  objects: ObjectSource;
  events: EventSink;
  clock: Clock;
  log: Logger;
  /** What is counted for `/metrics` and `/metrics/probes`. Absent: nobody asks. */
  metrics?: AgentMetrics;
  /** Tells what the node is to say of itself. Absent: it says what it knows without. */
  nodeNews?(news: NodeNews): void;
  /** Pushes a status. Cheap, synchronous; the latest one of a pod wins. */
  report(update: PodUpdate): void;
}

/** What a Provider whose pods run elsewhere knows of the node's state. What is absent stays as it was. */
export interface NodeNews {
  /** Whether pods can be run at all: the node's Ready, as far as it is the Provider's. */
  ready?: { ready: boolean; reason: string; message: string };
  /** A condition of the Provider's own. */
  condition?: { type: string; status: "True" | "False"; reason: string; message: string };
  /** Capacity and allocatable, by resource; others stay. */
  resources?: Record<string, string>;
  /** All taints but those of the node's own configuration. */
  taints?: Taint[];
}

/** True, or the sentence that tells a user why not (the kubelet API answers 501 with it). */
export type Ability = true | string;

export interface ProviderCapabilities {
  exec: Ability;
  attach: Ability;
  portForward: Ability;
  stats: Ability;
}

/** What a pod uses: its containers, and their sum where that can be told better than by adding. */
export interface PodStats {
  pod: PodRef;
  containers: (Omit<ContainerStats, "id"> & { name: string })[];
  /** Of the volumes whose use can be read. */
  volumes?: { name: string; usedBytes: number }[];
}

/** What the node says of itself on behalf of its Provider. */
export interface ProviderInfo {
  /** `local`, `interlink`, `slurm`, `dummy` */
  name: string;
  /** `status.nodeInfo.containerRuntimeVersion`, such as `process://0.1.0`. */
  runtimeVersion: string;
}

/**
 * Runs whole pods somewhere. Excluded, and the node's own business: talking to the API server, admission, capacity,
 * walltime, writing statuses and Events.
 *
 * Calls for one pod UID come one after another; calls for different pods come at the same time. All calls are
 * idempotent by UID. Nothing here waits for a pod to start or to end: what happens is told through `report`.
 */
export interface Provider {
  readonly info: ProviderInfo;
  capabilities(): ProviderCapabilities;
  /**
   * Called once, first: finds what an earlier agent left, follows it again, and resolves with those pods as they were
   * recorded. Whoever called hands each over again (`create` or `update`), or deletes it where the cluster no longer has it: until
   * then a Provider may say nothing of it.
   */
  recover(): Promise<Pod[]>;
  /** Takes the pod in charge. A pod that can't run is reported Failed or Waiting with a reason; it does not reject. */
  create(pod: Pod): void;
  /** The pod's object changed (labels, annotations, conditions of others, an object with a shorter grace period). */
  update(pod: Pod): void;
  /**
   * Ends the pod and removes what is left of it, then reports `gone`. Called again with a shorter grace period it
   * hurries; a longer one is ignored. An unknown pod is reported gone at once.
   * @param gracePeriodSeconds from the call on; 0 kills at once
   */
  delete(pod: Pod, gracePeriodSeconds: number): void;
  /**
   * Ends the pod as the node's decision: phase Failed, the given reason and message, the condition DisruptionTarget.
   * Its files and logs stay until its object is deleted. An unknown pod, or one that has ended: nothing.
   */
  evict(uid: string, eviction: Eviction): void;
  /** The latest status, for reconciling; undefined for a pod that is not here. */
  get(uid: string): PodStatus | undefined;
  /** The pods in charge. */
  list(): Pod[];
  /**
   * The container's log as a client reads it.
   * @throws {HostletError} NotFound: no such pod, container or attempt; the message goes to kubectl
   */
  logs(pod: PodRef, container: string, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Present where `capabilities()` says so, as the three below. Runs a command in a running container.
   * @throws {HostletError} NotFound, NotSupported
   */
  exec?(pod: PodRef, container: string, request: ExecRequest, signal: AbortSignal): Promise<ContainerStreams>;
  /** @throws {HostletError} NotFound, NotSupported */
  attach?(pod: PodRef, container: string, request: AttachRequest, signal: AbortSignal): Promise<ContainerStreams>;
  /**
   * A connection to a port of the pod, on loopback of its network.
   * @throws {HostletError} NotFound; or ConnectionRefused and the like, as a plain error with the port in its message
   */
  portForward?(pod: PodRef, port: number, signal: AbortSignal): Promise<Duplex>;
  /** What every pod uses, in one pass. */
  stats?(): Promise<PodStats[]>;
  /**
   * What there is for pods, by the resources' names (`cpu`, `memory`, `nvidia.com/gpu`, ...), where it is not what this host has.
   * Asked at the start and then once a minute; what the configuration says counts more. Rejects where it can't be told now.
   */
  capacity?(signal: AbortSignal): Promise<Record<string, string>>;
  /** Lets go: closes sockets, timers and watches. Pods run on. Idempotent. */
  stop(): Promise<void>;
}
