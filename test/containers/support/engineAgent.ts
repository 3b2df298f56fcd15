import { systemClock } from "../../../src/clock.ts";
import type { ContainerSpec } from "../../../src/runtimes/contract.ts";
import { createDockerRuntime } from "../../../src/runtimes/docker/runtime.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";

// An agent in a process of its own, to be killed: starts what it is told, and says when each start has resolved.
process.once("message", async (told: { socket: string; node: string; specs: ContainerSpec[] }) => {
  const { socket, node, specs } = told;
  const logLimits = { maxBytes: 1_000_000, maxFiles: 2 };
  const runtime = createDockerRuntime({ socket, node, clock: systemClock, log: silentLogger, logLimits });
  await runtime.recover({ exited() {} });
  process.send?.("ready");
  await Promise.all(specs.map((spec) => runtime.start(spec).then(() => process.send?.("started"))));
});
