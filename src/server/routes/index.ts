import type { Route, RouteDeps } from "../route.ts";
import { StatsSource } from "../stats/reading.ts";
import { configzRoutes } from "./configz.ts";
import { containerLogsRoutes } from "./containerLogs.ts";
import { healthRoutes } from "./health.ts";
import { metricsRoutes } from "./metrics.ts";
import { nodeLogsRoutes } from "./nodeLogs.ts";
import { podsRoutes } from "./pods.ts";
import { streamingRoutes } from "./streaming.ts";

/** All that a node answers. */
export function routes(deps: RouteDeps): Route[] {
  const { provider, clock, log } = deps;
  const stats = new StatsSource({ provider, clock, log, stateDir: deps.node.stateDir });
  return [
    ...healthRoutes(),
    ...containerLogsRoutes(deps),
    ...metricsRoutes(deps, stats),
    ...podsRoutes(deps),
    ...configzRoutes(deps),
    ...nodeLogsRoutes(deps),
    ...streamingRoutes(deps),
  ];
}
