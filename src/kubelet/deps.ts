import type { Clock } from "../clock.ts";
import type { EventSink } from "../kube/events.ts";
import type { ObjectSource } from "../kube/objectSource.ts";
import type { PodUpdate } from "../kube/podUpdate.ts";
import type { Container, Pod } from "../kube/types.ts";
import type {
  ContainerMount,
  ContainerResources,
  ContainerRuntime,
  ContainerSecurity,
  RuntimeFeature,
} from "../runtimes/contract.ts";
import type { RuntimeImage } from "../runtimes/images.ts";
import type { AgentMetrics } from "../telemetry/agentMetrics.ts";
import type { Logger } from "../telemetry/log.ts";
import type { DeviceLedger } from "./devices/ledger.ts";
import type { ObjectReference } from "./env/references.ts";
import type { PodNetwork } from "./network/podNetwork.ts";
import type { PodFiles, PodPaths } from "./podFiles.ts";
import type { AgentRights } from "./security/agentRights.ts";
import type { WorkQueue } from "./workQueue.ts";

/** What a pod's volumes came to. */
export interface PreparedPod {
  /** ConfigMaps and Secrets whose change must reach the volumes. */
  refs: ObjectReference[];
  /** For an Event: what the volumes do otherwise than asked. */
  warnings: string[];
  /**
   * When to `refresh` though no object changed, because a token has to be renewed, in ms since the epoch; undefined: never.
   * Each refresh moves it on.
   */
  readonly refreshAt?: number | undefined;
  /**
   * Brings the volumes up to date with the objects and with the pod's own metadata.
   * @returns for Events: which of them keep their old content, and why
   */
  refresh(pod: Pod, signal: AbortSignal): Promise<string[]>;
}

/** What a container is started with. */
export interface PreparedContainer {
  argv: string[];
  env: Record<string, string>;
  workingDir?: string;
  mounts: ContainerMount[];
  /** Every mountPath is real, and `workingDir` a path in the container. */
  isolation?: "sandbox";
  hostname?: string;
  networkNamespace?: string;
  security?: ContainerSecurity;
  resources?: ContainerResources;
  /** Said in the Created event: that the image is not used, for one. */
  note?: string;
  /** For an Event, such as invalid names of variables. */
  warnings: { reason: string; message: string }[];
}

/** Everything that has to be resolved before a container starts: volumes, environment, command. */
export interface Preparer<P extends PreparedPod = PreparedPod> {
  /** @throws {HostletError} PodInvalid: never; any other: later perhaps */
  pod(pod: Pod, paths: PodPaths, signal: AbortSignal): Promise<P>;
  /** @param image of a runtime with images */
  container(
    pod: Pod,
    container: Container,
    prepared: P,
    paths: PodPaths,
    signal: AbortSignal,
    image?: RuntimeImage,
  ): Promise<PreparedContainer>;
}

/** What the kubelet core works with. */
export interface KubeletDeps {
  runtime: ContainerRuntime;
  files: PodFiles;
  preparer: Preparer;
  objects: ObjectSource;
  events: EventSink;
  queue: WorkQueue;
  clock: Clock;
  log: Logger;
  metrics?: AgentMetrics;
  /** What the agent may. */
  rights: AgentRights;
  /** What the runtime sees to, for this pod. */
  features(pod: Pod): ReadonlySet<RuntimeFeature>;
  /** The node's devices, and who has them. */
  devices: DeviceLedger;
  hostIP: string;
  /** Of pods with a network of their own. */
  network?: PodNetwork;
  report(update: PodUpdate): void;
}
