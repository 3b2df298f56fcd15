import { inject } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { type DevClusterOptions, type Faults, startDevCluster } from "../../../src/devcluster/index.ts";
import type { AgentIdentityKind } from "../../../src/node/nodeLabels.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { readAudit, unexplainedRefusals } from "./audit.ts";
import { admin, type ClusterKeys, kubeconfig, node, servingPair } from "./clusterAccess.ts";

/** What a test needs of a control plane, the embedded one or a real one. */
export interface TestControlPlane {
  /** `embedded`, or the version of Kubernetes. */
  readonly version: string;
  /** Who the kubeconfig of a node makes its agent. */
  readonly identity: AgentIdentityKind;
  readonly url: string;
  readonly caPem: string;
  /** Only the embedded one has them. */
  readonly faults?: Faults;
  /** Kubeconfigs: secrets. */
  adminKubeconfig(): string;
  nodeKubeconfig(name: string): string;
  /** PEM: for the kubelet API of a node. */
  serving(names: string[]): { cert: string; key: string; clientCa: string };
  /** What the node was answered 403 since then, and nothing explains. */
  refusals(name: string, since: number): string[];
  stop(): Promise<void>;
}

/** A real one that runs: plain data, as the setup of the e2e project hands it to the tests. */
export interface RunningControlPlane {
  version: string;
  keys: ClusterKeys;
  auditLog: string;
  /** Where its programs are; kubectl is one of them. */
  programs: string;
}

declare module "vitest" {
  interface ProvidedContext {
    controlPlane: RunningControlPlane | undefined;
  }
}

/** The real one that the e2e project started for all its files; otherwise an embedded one of its own. */
export async function controlPlane(embedded: DevClusterOptions = {}): Promise<TestControlPlane> {
  const running = inject("controlPlane");
  return running ? realControlPlane(running) : embeddedControlPlane(embedded);
}

export function realControlPlane({ version, keys, auditLog }: RunningControlPlane): TestControlPlane {
  return {
    version,
    identity: "node",
    url: keys.url,
    caPem: keys.caPem,
    adminKubeconfig: () => kubeconfig(keys, admin),
    nodeKubeconfig: (name) => kubeconfig(keys, node(name)),
    serving: (names) => ({ ...servingPair(keys, names), clientCa: keys.caPem }),
    refusals: (name, since) => unexplainedRefusals(readAudit(auditLog, node(name).commonName, since)),
    stop: async () => {}, // its starter's business
  };
}

async function embeddedControlPlane(options: DevClusterOptions): Promise<TestControlPlane> {
  const cluster = await startDevCluster({ clock: systemClock, log: silentLogger, ...options });
  return {
    version: "embedded",
    identity: "other",
    url: cluster.url,
    caPem: cluster.caPem,
    faults: cluster.faults,
    adminKubeconfig: () => cluster.kubeconfig("admin"),
    nodeKubeconfig: (name) => cluster.kubeconfig({ node: name }),
    serving: (names) => ({ ...cluster.issueServing(names), clientCa: cluster.clientCaPem }),
    refusals: () => [],
    stop: () => cluster.stop(),
  };
}
