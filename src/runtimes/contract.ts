import type { LogOptions } from "../kube/logOptions.ts";

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
  stdin: boolean;
  tty: boolean;
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
  /** Lets go of everything; containers run on. Idempotent. */
  stop(): Promise<void>;
}
