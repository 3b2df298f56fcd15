import type { ContainerSpec } from "../../contract.ts";

/** A file to execute, by path, and its argument vector (argv[0] included). */
export interface Executable {
  file: string;
  argv: string[];
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
  /**
   * Lays what the container needs on this host, its mounts above all. Idempotent; called before each start.
   * @throws {HostletError} CreateContainerFailed where that can't be, with the reason
   */
  prepare(spec: ContainerSpec): Promise<void>;
  /** Finds what argv[0] means for the container; its working directory is checked too. */
  resolve(spec: ContainerSpec): Executable | CannotRun;
  /** What the shim executes so that `executable` runs as this launcher would have it. */
  wrap(spec: ContainerSpec, executable: Executable): Executable;
}
