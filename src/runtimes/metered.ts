import type { AgentMetrics } from "../telemetry/agentMetrics.ts";
import type { ContainerRuntime } from "./contract.ts";

/** What is counted, under the kubelet's names of operations. */
const operations: Readonly<Partial<Record<keyof ContainerRuntime, string>>> = {
  start: "start_container",
  signal: "signal_container",
  kill: "stop_container",
  remove: "remove_container",
  exec: "exec",
  attach: "attach",
  stats: "list_container_stats",
};

/** The same runtime, with its calls counted and timed. */
export function metered(runtime: ContainerRuntime, metrics: AgentMetrics): ContainerRuntime {
  return new Proxy(runtime, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      const operation = operations[key as keyof ContainerRuntime];
      const bound = value.bind(target) as (...args: unknown[]) => unknown;
      if (operation === undefined) return bound;
      return (...args: unknown[]) => metrics.timed(operation, async () => bound(...args));
    },
  });
}
