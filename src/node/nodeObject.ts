import { readFileSync } from "node:fs";
import { arch, cpus, hostname, release, totalmem } from "node:os";
import { toTime } from "../clock.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import type { Node, NodeCondition, NodeStatus } from "../kube/types.ts";

/** The Kubernetes version whose kubelet this agent behaves like; clients choose features by it. */
export const kubeletVersion = "v1.34.2";
export const hostletVersion = "0.1.0";

/** The taint that virtual nodes carry, so that ordinary pods (DaemonSets' above all) stay away. */
export const virtualTaint = { key: "virtual-kubelet.io/provider", value: "mock", effect: "NoSchedule" } as const;

/** What is read from the host, once. */
export interface HostFacts {
  hostname: string;
  architecture: string;
  kernelVersion: string;
  osImage: string;
  cpus: number;
  memoryBytes: number;
  machineID: string;
  bootID: string;
}

export function readHostFacts(): HostFacts {
  const read = (path: string) => {
    try {
      return readFileSync(path, "utf8").trim();
    } catch {
      return "";
    }
  };
  return {
    hostname: hostname(),
    architecture: { x64: "amd64" }[arch() as string] ?? arch(),
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(read("/etc/os-release"))?.[1] ?? "Linux",
    cpus: cpus().length || 1,
    memoryBytes: totalmem(),
    machineID: read("/etc/machine-id"),
    bootID: read("/proc/sys/kernel/random/boot_id"),
  };
}

/** The Node as it is created. Pure. */
export function nodeObject(
  config: Pick<NodeConfig, "nodeName" | "nodeLabels" | "nodeTaints" | "disableTaint"> & {
    providerID?: string | undefined;
  },
  facts: Pick<HostFacts, "architecture">,
): Node {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: config.nodeName,
      labels: {
        "kubernetes.io/hostname": config.nodeName,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture,
        "kubernetes.io/role": "agent",
        type: "virtual-kubelet",
        ...config.nodeLabels,
      },
    },
    spec: {
      ...(config.providerID !== undefined && { providerID: config.providerID }),
      taints: [...(config.disableTaint ? [] : [virtualTaint]), ...config.nodeTaints],
    },
  };
}

/** What the Node's Ready condition says. */
export interface NodeReadiness {
  ready: boolean;
  reason: string;
  message: string;
}

export const nodeReady: NodeReadiness = {
  ready: true,
  reason: "KubeletReady",
  message: "hostlet is ready to run pods",
};

/**
 * What the node has for its pods.
 * @param provided what its Provider has, where that is not what this host has
 */
export function nodeResources(
  config: NodeConfig,
  facts: HostFacts,
  provided: Record<string, string> = {},
): Record<string, string> {
  return {
    ...provided,
    cpu: config.cpu ?? provided.cpu ?? String(facts.cpus),
    memory: config.memory ?? provided.memory ?? `${Math.floor(facts.memoryBytes / 1024)}Ki`,
    pods: provided.pods ?? String(config.maxPods),
    ...config.extendedResources,
  };
}

/**
 * The Node's status. Pure; transition times are kept from `previous`.
 * @param port where the kubelet API listens
 */
export function nodeStatus(
  config: NodeConfig,
  facts: HostFacts,
  input: {
    ip: string;
    port: number;
    runtimeVersion: string;
    now: number;
    previous: NodeCondition[];
    readiness: NodeReadiness;
    /** See `nodeResources`. */
    provided?: Record<string, string> | undefined;
    /** A condition of the Provider's own. */
    condition?: Pick<NodeCondition, "type" | "status" | "reason" | "message"> | undefined;
  },
): NodeStatus {
  const resources = nodeResources(config, facts, input.provided);
  const { ready, reason, message } = input.readiness;
  const own = input.condition;
  const condition = (type: string, status: "True" | "False", reason: string, message: string): NodeCondition => {
    const before = input.previous.find((c) => c.type === type);
    const now = toTime(input.now);
    return {
      type,
      status,
      reason,
      message,
      lastHeartbeatTime: now,
      lastTransitionTime: before?.status === status ? (before.lastTransitionTime ?? now) : now,
    };
  };
  return {
    capacity: resources,
    allocatable: resources,
    addresses: [
      { type: "InternalIP", address: input.ip },
      { type: "Hostname", address: config.nodeName },
    ],
    conditions: [
      condition("Ready", ready ? "True" : "False", reason, message),
      ...(own ? [condition(own.type, own.status as "True" | "False", own.reason ?? "", own.message ?? "")] : []),
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: input.port } },
    nodeInfo: {
      architecture: facts.architecture,
      bootID: facts.bootID,
      containerRuntimeVersion: input.runtimeVersion,
      kernelVersion: facts.kernelVersion,
      kubeProxyVersion: "",
      kubeletVersion: `${kubeletVersion}+hostlet.${hostletVersion}`,
      machineID: facts.machineID,
      operatingSystem: "linux",
      osImage: facts.osImage,
      systemUUID: facts.machineID,
    },
  };
}
