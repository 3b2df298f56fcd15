import type { ContainerExit, ContainerID, ContainerSpec, RuntimeFeature } from "../../contract.ts";
import type { Payload } from "../payload.ts";

/** A file to execute, by path, and its argument vector (argv[0] included). */
export interface Executable {
  file: string;
  argv: string[];
  /** Where the shim starts it, on this host. @default the container's working directory */
  cwd?: string;
  /** Whose its pipes or terminal are. @default `security`'s user, else the agent */
  owner?: { uid: number; gid: number };
}

/** Why a command can't be executed, as shells number it, in words for the pod's author. */
export interface CannotRun {
  /** 127 not found, 126 not executable, 128 otherwise */
  exitCode: 126 | 127 | 128;
  message: string;
}

/**
 * How the process runtime starts a process. A launcher decides what is executed and what it sees; spawning, following
 * and ending it are the shim's and the runtime's, and the same for all.
 */
export interface Launcher {
  /** `plain`, `sandbox`, ... */
  readonly name: string;
  /** @default none */
  features?(isolation: ContainerSpec["isolation"]): ReadonlySet<RuntimeFeature>;
  /**
   * Called once, at recovery.
   * @throws {HostletError} RuntimeUnavailable where it can't work on this host, with what to do
   */
  open?(): Promise<void>;
  /**
   * Lays what the container needs on this host, its mounts above all. Idempotent; called before each start.
   * @throws {HostletError} CreateContainerFailed where that can't be, with the reason
   */
  prepare(spec: ContainerSpec): Promise<void>;
  /** Finds what argv[0] means for the container; its working directory is checked too. */
  resolve(spec: ContainerSpec): Executable | CannotRun;
  /** What the shim executes so that `executable` runs as this launcher would have it, by the user of `spec.security` (`asUser`). */
  wrap(spec: ContainerSpec, executable: Executable): Executable;
  /** What else it knows of an end. Called each time that an end is read; the attempt is still there. */
  ended?(id: ContainerID, exit: ContainerExit): ContainerExit;
  /** Removes what it made for an attempt that has ended. */
  forget?(id: ContainerID): Promise<void>;
  /**
   * Finds what `argv[0]` means inside the running container, and what its shim executes so that it runs there: as the same
   * user, in the same sandbox. The environment comes from the shim.
   * @param spec as it was started, perhaps by an earlier agent
   * @param payload what the shim started: what `wrap` gave
   */
  enter(spec: ContainerSpec, argv: readonly string[], payload: Payload): Executable | CannotRun;
}
