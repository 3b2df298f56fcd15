import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../src/clock.ts";
import { isAlreadyExists } from "../src/kube/apiError.ts";
import { createClient, type KubeClient } from "../src/kube/client.ts";
import { loadKubeconfig } from "../src/kube/kubeconfig.ts";
import { paths } from "../src/kube/paths.ts";
import { nodeObject, readHostFacts } from "../src/node/nodeObject.ts";
import { silentLogger } from "../src/telemetry/log.ts";
import type { AgentInput } from "./agent.ts";
import { agentConfig } from "./agentConfig.ts";
import { Child } from "./child.ts";
import { ControlPlane } from "./controlPlane.ts";
import type { Bench } from "./scenarios.ts";
import type { Figure } from "./statistics.ts";
import { PodWatcher } from "./watcher.ts";

export interface Scenario {
  name: string;
  scenario(bench: Bench): Promise<Figure[]>;
}

export interface RunOptions {
  /** Empty; its owner removes it. */
  directory: string;
  quick: boolean;
  /** Node's own. */
  agentFlags: string[];
}

const nodeName = "bench";

/** One scenario after the other on a control plane of their own. */
export async function runOn(kind: string, options: RunOptions, scenarios: Scenario[]): Promise<Figure[]> {
  const { directory, quick, agentFlags } = options;
  const figures: Figure[] = [];
  const undo: (() => Promise<void> | void)[] = [];
  try {
    const controlPlane = await ControlPlane.start(kind, directory, nodeName);
    undo.push(() => controlPlane.stop());
    const { adminKubeconfig, nodeKubeconfig, serving, identity } = controlPlane.ready;
    const access = loadKubeconfig(adminKubeconfig);
    const clientOf = (userAgent: string): KubeClient => {
      const client = createClient(access, { log: silentLogger, clock: systemClock, userAgent, maxSockets: 32 });
      undo.push(() => client.close());
      return client;
    };
    const client = clientOf("hostlet-bench-load");
    const watcher = new PodWatcher(clientOf("hostlet-bench-watcher"));
    watcher.start();
    undo.push(() => watcher.stop());
    let agents = 0;
    const begin = async (own: string) => {
      const input = { kubeconfig: nodeKubeconfig, serving, identity, nodeName, directory: own } satisfies AgentInput;
      const agent = new Child("agent", input, agentFlags);
      await agent.message();
      return agent;
    };
    const directoryOf = (agent: number) => join(directory, `agent-${agent}`);
    const bench: Bench = {
      client,
      controlPlane,
      watcher,
      kubeconfig: adminKubeconfig,
      nodeName,
      directory,
      quick,
      async startAgent() {
        const own = directoryOf(agents++);
        mkdirSync(own);
        if (identity === "node") await admit(client, own);
        return begin(own);
      },
      startNextAgent: () => begin(directoryOf(agents - 1)),
    };
    for (const { name, scenario } of scenarios) {
      console.log(`${name} ...`);
      figures.push(...(await scenario(bench)));
    }
  } finally {
    for (const step of undo.reverse()) await step();
  }
  return figures;
}

/** What an administrator does beforehand for a node that may not label or taint itself. */
async function admit(client: KubeClient, directory: string): Promise<void> {
  const node = nodeObject(await agentConfig(nodeName, directory), readHostFacts());
  await client.create(paths.nodes(), node).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
  });
}
