import { join } from "node:path";
import { systemClock } from "../src/clock.ts";
import { loadConfig } from "../src/config/load.ts";
import { startApiServer } from "../src/interlink/api/server.ts";
import { startPlugin } from "../src/interlink/plugin/server.ts";
import { createProvider } from "../src/node/createProvider.ts";
import { createLogger } from "../src/telemetry/log.ts";
import { input, tell, toldToEnd } from "./child.ts";

/** An interLink API server, or a plugin, alone in its process. */
export interface HopInput {
  /** Where it listens. */
  socket: string;
  /** Of an API server: where its plugin is. */
  sidecar?: string;
  /** Of a plugin. */
  provider?: "local" | "dummy";
  directory: string;
}

const { socket, sidecar, provider = "dummy", directory } = await input<HopInput>();
const shared = { address: { socket }, insecure: false, clock: systemClock, log: createLogger("error") };
const allocatable = { cpu: "2", memory: "8Gi", pods: "1000" };
const config = await loadConfig({
  env: {},
  home: directory,
  defaults: { provider, stateDir: join(directory, "state"), podsDir: join(directory, "pods") },
});
const server = sidecar
  ? await startApiServer({ ...shared, config: { sidecar: { url: `unix:${sidecar}` }, statusMaxAgeMs: 30_000 } })
  : await startPlugin({
      ...shared,
      stateDir: join(directory, "state"),
      provider: (context) => createProvider({ config, context, hostIP: "127.0.0.1", allocatable }),
    });
tell({ ready: true });
await toldToEnd();
await server.stop();
