import type { Clock } from "../clock.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import type { KubeClient } from "../kube/client.ts";
import type { ClientConfig } from "../kube/clientConfig.ts";
import { bootstrapClient, fromStore, renewable, storedClient } from "../node/certificates/clientCertificate.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Access, AccessFlags } from "./access.ts";
import type { Io } from "./console.ts";

export interface OwnAccessOptions {
  access: Access;
  flags: AccessFlags;
  config: NodeConfig;
  /** For `access.client`. */
  client: KubeClient;
  clock: Clock;
  log: Logger;
  io: Io;
  signal: AbortSignal;
}

/**
 * As whom the node reaches its cluster from now on: as the kubeconfig says, unless its certificate is to be renewed, or has
 * to be had with a bootstrap token first.
 */
export async function ownAccess({ access, flags, config, io, ...options }: OwnAccessOptions): Promise<ClientConfig> {
  const { nodeName, stateDir } = config;
  const now = options.clock.now();
  if (!access.bootstrap) {
    return flags.rotateCertificates ? renewable(access.client, stateDir, nodeName, now) : access.client;
  }
  const stored = storedClient(stateDir, nodeName, now);
  if (stored) return fromStore(access.client, stateDir, stored);
  const { kubeconfig } = access.bootstrap;
  const say = (line: string) => void io.stderr.write(`${line}\n`);
  const own = await bootstrapClient({ ...options, access: access.client, nodeName, stateDir, kubeconfig, say });
  io.stderr.write(`the node has its client certificate; its kubeconfig is ${kubeconfig}\n`);
  return own;
}
