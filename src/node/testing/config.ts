import type { NodeConfig } from "../../config/nodeConfig.ts";
import type { HostFacts } from "../nodeObject.ts";

/** What registration and the Node's object read of a configuration. */
export function testConfig(changes: Partial<NodeConfig> = {}): NodeConfig {
  return {
    provider: "local",
    runtime: "process",
    isolation: "none",
    clusterDNS: [],
    clusterDomain: "cluster.local",
    dockerHost: undefined,
    nodeName: "n1",
    podsDir: "/nonexistent/pods",
    stateDir: "/nonexistent/state",
    pathLayout: "namespace",
    compat: false,
    maxPods: 110,
    containerLogMaxSize: 10_485_760,
    containerLogMaxFiles: 5,
    inheritEnv: [],
    images: [],
    nodeLabels: {},
    nodeTaints: [],
    disableTaint: false,
    nodeIP: undefined,
    kubeletPort: 10250,
    healthzPort: 0,
    logDir: undefined,
    cpu: undefined,
    memory: undefined,
    extendedResources: {},
    slurmDir: "/nowhere",
    slurmPartition: undefined,
    slurmFlags: [],
    slurmConfig: undefined,
    slurmFlavor: undefined,
    slurmPriorityClasses: {},
    slurmPollInterval: 10_000,
    slurmMemoryOverhead: 0,
    slurmNodeBinary: undefined,
    providerID: undefined,
    logLevel: "silent",
    syncFrequency: 60_000,
    ...changes,
  };
}

export const testFacts: HostFacts = {
  hostname: "host",
  architecture: "amd64",
  kernelVersion: "6.1.0",
  osImage: "Debian GNU/Linux 12",
  cpus: 4,
  memoryBytes: 8 * 2 ** 30 + 512,
  machineID: "machine",
  bootID: "boot",
};
