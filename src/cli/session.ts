import type { Clock } from "../clock.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import type { DevCluster } from "../devcluster/index.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Agent } from "../node/agent.ts";
import type { Logger } from "../telemetry/log.ts";
import { userAgent } from "./version.ts";

export interface SessionOptions {
  config: NodeConfig;
  /** Port of the API server; 0: any that is free. */
  port: number;
  /** Where the control plane keeps its objects; undefined: nowhere. */
  dir?: string;
  clock: Clock;
  log: Logger;
}

/** An embedded control plane and, once started, one node in it, both in this process. */
export interface Session {
  readonly cluster: DevCluster;
  /** As its administrator. */
  readonly client: KubeClient;
  /** Resolves when the Node is Ready. */
  startNode(signal: AbortSignal): Promise<Agent>;
  /** Ends node and control plane; pods run on. Idempotent. */
  stop(): Promise<void>;
}

/** @throws {HostletError} ListenFailed */
export async function openSession({ config, port, dir, clock, log }: SessionOptions): Promise<Session> {
  // The agent's modules are loaded while the control plane comes up.
  const agentModule = import("../node/agent.ts");
  agentModule.catch(() => {});
  const [{ startDevCluster }, { createClient }, { parseKubeconfig }] = await Promise.all([
    import("../devcluster/index.ts"),
    import("../kube/client.ts"),
    import("../kube/kubeconfig.ts"),
  ]);
  const cluster = await startDevCluster({ port, clock, log, ...(dir === undefined ? {} : { dir }) });
  const clients: KubeClient[] = [];
  const clientFor = (user: "admin" | { node: string }) => {
    const access = parseKubeconfig(cluster.kubeconfig(user), { file: "of the embedded control plane" });
    const client = createClient(access, { log, clock, userAgent });
    clients.push(client);
    return client;
  };
  let agent: Agent | undefined;
  let stopping: Promise<void> | undefined;

  return {
    cluster,
    client: clientFor("admin"),
    async startNode(signal) {
      const { startAgent } = await agentModule;
      const names = [config.nodeName, "localhost", config.nodeIP ?? "127.0.0.1"];
      const serving = { ...cluster.issueServing(names), clientCa: cluster.clientCaPem };
      signal.throwIfAborted();
      const client = clientFor({ node: config.nodeName });
      agent = await startAgent({ client, config, serving, log, clock, signal });
      return agent;
    },
    stop() {
      stopping ??= (async () => {
        await agent?.stop();
        for (const client of clients) client.close();
        await cluster.stop();
      })();
      return stopping;
    },
  };
}
