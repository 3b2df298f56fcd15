import type { ContainerID, ContainerSpec } from "../contract.ts";
import type { SpawnListener } from "./spawner.ts";

/** Who has shims executed: a process of the agent's own, or a service manager. What a shim does is the same for all. */
export interface ShimStarter {
  /**
   * Called once, at recovery.
   * @throws {HostletError} RuntimeUnavailable
   */
  open?(): Promise<void>;
  /**
   * Has `hostlet-shim run` executed with these arguments; the shim outlives this process. The claim in the attempt's directory decides
   * whether it may start anything, so a request of which nobody knows what became of it does no harm.
   */
  spawn(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    listener: SpawnListener,
    spec: ContainerSpec,
  ): void;
  /** Removes what it has of an attempt that has ended. */
  forget?(id: ContainerID): Promise<void>;
  /** Lets go of all shims; they run on. Tells nobody. */
  stop(): void;
}
