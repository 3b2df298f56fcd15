import { loadConfig } from "../src/config/load.ts";
import type { NodeConfig } from "../src/config/nodeConfig.ts";

/** Of the agent that is measured. @param directory for its state and its pods */
export function agentConfig(nodeName: string, directory: string): Promise<NodeConfig> {
  return loadConfig({
    env: {},
    home: directory,
    flags: { nodeName, maxPods: 1000, disableTaint: true, nodeIP: "127.0.0.1", kubeletPort: 0, healthzPort: 0 },
  });
}
