import type { Clock } from "../../clock.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { ContainerRuntime } from "../contract.ts";
import { createProcessRuntime } from "../process/runtime.ts";
import { busSocket, type ManagerScope } from "./dbus/address.ts";
import { SystemdManager } from "./manager.ts";
import { systemUnitLauncher, userUnitLauncher } from "./unitLauncher.ts";
import { UnitStarter } from "./unitStarter.ts";

export interface SystemdRuntimeOptions {
  scope: ManagerScope;
  /** Where the bus is found. @default the process' own */
  env?: NodeJS.ProcessEnv;
  stateDir: string;
  clock: Clock;
  log: Logger;
  logLimits: { maxBytes: number; maxFiles: number };
}

/**
 * Containers as units of systemd: each is a transient service in a slice of its pod. What runs in it is the process runtime's
 * shim, so that logs, terminals, exact ends and what the next agent finds are the same as there.
 */
export function createSystemdRuntime(options: SystemdRuntimeOptions): ContainerRuntime {
  const { scope, env = process.env, stateDir, clock, log, logLimits } = options;
  const manager = new SystemdManager(busSocket(scope, env));
  return createProcessRuntime({
    name: "systemd",
    ...{ stateDir, clock, log, logLimits },
    launcher: scope === "system" ? systemUnitLauncher : userUnitLauncher,
    starter: (shim) => new UnitStarter({ manager, scope, stateDir, shim, log }),
  });
}
