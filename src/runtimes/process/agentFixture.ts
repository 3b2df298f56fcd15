import { systemClock } from "../../clock.ts";
import { silentLogger } from "../../telemetry/log.ts";
import type { ContainerSpec } from "../contract.ts";
import { plainLauncher } from "./launchers/plain.ts";
import { createProcessRuntime } from "./runtime.ts";

/**
 * An agent for tests to kill: starts the containers that it is sent, all at once, and answers with the attempt's
 * number whenever one runs.
 */
process.on("message", async ({ stateDir, specs }: { stateDir: string; specs: ContainerSpec[] }) => {
  const runtime = createProcessRuntime({
    stateDir,
    launcher: plainLauncher,
    log: silentLogger,
    clock: systemClock,
    logLimits: { maxBytes: 0, maxFiles: 1 },
  });
  await runtime.recover({ exited: () => {} });
  for (const spec of specs) void runtime.start(spec).then(({ id }) => process.send?.(id.attempt));
});
