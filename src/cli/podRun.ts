import { resolve } from "node:path";
import { systemClock } from "../clock.ts";
import { createProvider } from "../node/createProvider.ts";
import { nodeResources, readHostFacts } from "../node/nodeObject.ts";
import { runPod } from "../providers/slurm/runner.ts";
import { createLogger } from "../telemetry/log.ts";
import type { Io } from "./console.ts";

/**
 * `hostlet pod-run DIR`: the kubelet core for one pod, inside its batch job. No API server, no listener.
 * @returns 0 where the pod succeeded, else the highest exit code of its containers
 */
export function podRun(dir: string, io: Io): Promise<number> {
  return runPod({
    dir: resolve(dir),
    env: io.env,
    clock: systemClock,
    log: createLogger("info"),
    open: (context, config, hostIP) =>
      createProvider({ config, context, hostIP, allocatable: nodeResources(config, readHostFacts()) }),
    onSignal(callback) {
      const asked = () => callback("asked");
      process.on("SIGUSR1", asked);
      const off = io.onSignal(() => callback("ended"));
      return () => {
        process.off("SIGUSR1", asked);
        off();
      };
    },
  });
}
