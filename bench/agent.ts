import { systemClock } from "../src/clock.ts";
import { createClient } from "../src/kube/client.ts";
import { loadKubeconfig } from "../src/kube/kubeconfig.ts";
import { startAgent } from "../src/node/agent.ts";
import { createLogger } from "../src/telemetry/log.ts";
import { agentConfig } from "./agentConfig.ts";
import { input, tell, toldToEnd } from "./child.ts";
import type { ControlPlaneReady } from "./controlPlane.ts";

/** A node agent and nothing else, as `hostlet node` would be. */
export interface AgentInput extends Pick<ControlPlaneReady, "serving" | "identity"> {
  kubeconfig: string;
  nodeName: string;
  /** Holds its state and its pods; empty. */
  directory: string;
}

const { kubeconfig, serving, identity, nodeName, directory } = await input<AgentInput>();
const clock = systemClock;
const log = createLogger("error");
const client = createClient(loadKubeconfig(kubeconfig), { log, clock, userAgent: "hostlet-bench-agent" });
const config = await agentConfig(nodeName, directory);
const agent = await startAgent({ client, config, serving, identity, log, clock });
tell({ port: agent.port });
await toldToEnd();
await agent.stop();
client.close();
