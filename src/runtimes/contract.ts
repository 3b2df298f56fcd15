import type { LogOptions } from "../kube/logOptions.ts";
import type { ImageService, RuntimeImage } from "./images.ts";
import type { AttachRequest, ContainerStreams, ExecRequest } from "./streams.ts";

/** One start of one container. `attempt` counts from 0, grows with each start and is never used twice for a pod UID. */
export interface ContainerID {
  podUID: string;
  container: string;
  attempt: number;
}

/** A file or directory of this host that the container sees at `mountPath`. */
export interface ContainerMount {
  /** The volume's name in the pod. */
  volume: string;
  /** Absolute path on this host; exists. */
  source: string;
  /** As the manifest has it, relative or absolute; free of `..`. */
  mountPath: string;
  readOnly: boolean;
  /** In place of `source` a file system in memory, with these mount options (`size=1048576`); only where mountPaths are real. */
  tmpfs?: string;
}

/** Who a container's processes are and what they may. What is absent is as the agent has it. */
export interface ContainerSecurity {
  uid?: number;
  gid?: number;
  /** All supplementary groups; replaces those of the agent. */
  groups?: number[];
  /** As Kubernetes names them, without `CAP_`; `ALL` for all. */
  capabilities?: { add: string[]; drop: string[] };
  /** no_new_privs: `allowPrivilegeEscalation: false` */
  noNewPrivileges?: boolean;
  privileged?: boolean;
  readOnlyRootFilesystem?: boolean;
}

/**
 * What of a pod a runtime sees to by itself. Without a feature the core goes by what the agent may, refuses the pod, or says in
 * an Event that a field has no effect.
 */
export type RuntimeFeature =
  /** Any user, groups, capabilities, privileged: `ContainerSpec.security` is then what the manifest asks for, unresolved. */
  | "users"
  /** seccomp and AppArmor profiles, at least RuntimeDefault. */
  | "securityProfiles"
  | "readOnlyRootFilesystem"
  /** `ContainerMount.readOnly` holds. */
  | "readOnlyMounts"
  /** The limits of `ContainerSpec.resources`. */
  | "limits"
  | "hostAliases"
  /** A process namespace for the pod or its containers. */
  | "processNamespace";

/** Requests and limits in the units of the kernel. Absent: none. */
export interface ContainerResources {
  cpuRequestMillis?: number;
  cpuLimitMillis?: number;
  memoryRequestBytes?: number;
  memoryLimitBytes?: number;
  /** Of the pod. @default BestEffort */
  qos?: "Guaranteed" | "Burstable" | "BestEffort";
}

export interface ContainerSpec {
  id: ContainerID;
  namespace: string;
  podName: string;
  /** Carried for the core: given back by `recover()` as it was given to `start()`. */
  restartCount: number;
  /** What is run: never empty, no shell involved. argv[0] is looked up in PATH of `env` where it has no slash. */
  argv: string[];
  /** The whole environment of the container. */
  env: Record<string, string>;
  /** Absolute, on this host. Undefined: the container's own directory. */
  workingDir?: string;
  /** The container's own directory on this host (`.../containers/<name>`): exists, holds `pgid` and the mounts. */
  dir: string;
  mounts: ContainerMount[];
  /** `sandbox`: every mountPath is real, and `workingDir` a path in the container. @default the node's */
  isolation?: "sandbox";
  /** The file of its pod's network namespace. @default the host's network */
  networkNamespace?: string;
  /** Of a container that has a hostname of its own. */
  hostname?: string;
  stdin: boolean;
  /** Standard input ends when the first who attached to it lets go. */
  stdinOnce?: boolean;
  tty: boolean;
  security?: ContainerSecurity;
  resources?: ContainerResources;
  /** Of a runtime with images of its own. */
  image?: RuntimeImage;
}

/** What a container uses, over its whole tree of processes. Counters never run backwards while it runs. */
export interface ContainerStats {
  id: ContainerID;
  /** When it was read. ms since the epoch */
  time: number;
  startedAt?: number;
  /** CPU time, of children that have ended too. */
  cpuNanoseconds?: number;
  /** What the kernel can't take back without harm; from /proc: resident without shared files. */
  memoryWorkingSetBytes?: number;
  memoryRssBytes?: number;
  memoryUsageBytes?: number;
  processes?: number;
  /** Of its log files. */
  logBytes?: number;
}

export interface ContainerExit {
  /** 0 to 255; 128 + signal for a signal. 137 with reason ContainerStatusUnknown where nobody knows. */
  exitCode: number;
  /** The signal's number, where one ended it. */
  signal?: number;
  /** Completed, Error, OOMKilled, ContainerCannotRun, ContainerStatusUnknown */
  reason: string;
  message?: string;
  /** ms since the epoch; undefined where it never started. */
  startedAt?: number;
  finishedAt: number;
}

export interface RuntimeContainer {
  id: ContainerID;
  restartCount: number;
  /** `process://<id>` and the like, as `status.containerStatuses[].containerID` shows it. */
  containerID: string;
  /** Undefined where it ended before it was running. ms since the epoch. */
  startedAt?: number;
  /** Of a runtime with images: `RuntimeImage.id` of what it was started from. */
  imageID?: string;
  /** Set when it has ended; final. */
  exit?: ContainerExit;
}

export interface ContainerRuntimeCallbacks {
  /** A container ended. Called once a container, also for one that `recover()` gave back as running. */
  exited(container: RuntimeContainer & { exit: ContainerExit }): void;
}

/**
 * Runs one container on this host. Knows nothing of pods' lifecycle, restart policies, probes or the API server.
 * All ids are absolute: nothing is remembered between agents but what the runtime itself finds again.
 */
export interface ContainerRuntime {
  /** `process`, `systemd`, `docker` */
  readonly name: string;
  readonly version: string;
  /**
   * What it sees to in a container of this isolation (`ContainerSpec.isolation`).
   * @default none
   */
  features?(isolation: ContainerSpec["isolation"]): ReadonlySet<RuntimeFeature>;
  /**
   * Called once, first. Finds every container that earlier agents started, follows the live ones again and resolves
   * with all of them. A start that was decided but never made is settled first: it never runs after this.
   */
  recover(callbacks: ContainerRuntimeCallbacks): Promise<RuntimeContainer[]>;
  /**
   * Starts the container; resolves once it runs, or with `exit` set where it could not (127: not found, 126: not
   * executable, with a message for the pod's author). `exited` is called for it too, after this has resolved.
   * @throws {HostletError} CreateContainerFailed where the host is at fault (disk full, ...); then nothing was started
   */
  start(spec: ContainerSpec): Promise<RuntimeContainer>;
  /** Signals the container's main process. Not an error where it has ended. */
  signal(id: ContainerID, signal: number): Promise<void>;
  /** SIGKILL to the whole tree; resolves when the request was made, not when the tree is gone. */
  kill(id: ContainerID): Promise<void>;
  /** Forgets an ended container: its log, its exit. */
  remove(id: ContainerID): Promise<void>;
  /** @throws {HostletError} NotFound */
  logs(id: ContainerID, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Runs a command in a running container: with its environment, user, working directory, and in its sandbox. It is
   * ended with `signal`. Absent: the runtime can't.
   * @throws {HostletError} NotFound: it does not run; NotSupported, with a sentence that says why
   */
  exec?(id: ContainerID, request: ExecRequest, signal: AbortSignal): Promise<ContainerStreams>;
  /**
   * Joins the main process of a running container: its output from now on, and its standard input. Absent: the runtime can't.
   * @throws {HostletError} NotFound: it does not run; NotSupported
   */
  attach?(id: ContainerID, request: AttachRequest, signal: AbortSignal): Promise<ContainerStreams>;
  /** What every running container uses, in one pass. Absent: the runtime can't tell. */
  stats?(): Promise<ContainerStats[]>;
  /** Absent: a container's `image` only names what of the host is run. */
  readonly images?: ImageService;
  /** Lets go of everything; containers run on. Idempotent. */
  stop(): Promise<void>;
}
