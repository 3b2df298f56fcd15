import type { Route, RouteDeps } from "../route.ts";
import { containerLogsRoutes } from "./containerLogs.ts";
import { healthRoutes } from "./health.ts";

/** All that a node answers. */
export function routes(deps: RouteDeps): Route[] {
  return [...healthRoutes(), ...containerLogsRoutes(deps)];
}
