import { join } from "node:path";
import type { NodeConfig } from "../config/nodeConfig.ts";
import type { Allocation } from "./allocation.ts";

/** Labels by which pods choose a pilot node, as virtual-kubelet-cmd has them. */
export const siteLabel = "jiriaf.site";
export const nodeTypeLabel = "jiriaf.nodetype";

/**
 * What a node in an allocation has in the place of the general defaults: what it was given there, and a state directory of this
 * job on this host, as the home directory is the same on all of them.
 * @param tmp a directory on a local disk
 */
export function allocationDefaults(allocation: Allocation, tmp: string, uid: number): Partial<NodeConfig> {
  const { system, jobId, cpus, memoryBytes, gpus, rank } = allocation;
  const name = [system, jobId.replaceAll(/[^A-Za-z0-9.-]/g, "_"), ...(rank === undefined ? [] : [rank])].join("-");
  const dir = join(tmp, `hostlet-${uid}`, name);
  return {
    stateDir: join(dir, "state"),
    podsDir: join(dir, "pods"),
    kubeletPort: 0,
    healthzPort: 0,
    ...(cpus !== undefined && { cpu: String(cpus) }),
    ...(memoryBytes !== undefined && { memory: `${Math.floor(memoryBytes / 2 ** 20)}Mi` }),
    ...(gpus && { extendedResources: { [gpus.resource]: String(gpus.count) } }),
  };
}

export function allocationLabels({ system, jobId, partition }: Allocation): Record<string, string> {
  return {
    "hostlet.dev/batch-system": system,
    "hostlet.dev/batch-job": labelValue(jobId),
    ...(partition && { "hostlet.dev/batch-partition": labelValue(partition) }),
  };
}

function labelValue(text: string): string {
  return text
    .replaceAll(/[^A-Za-z0-9_.-]/g, "_")
    .slice(0, 63)
    .replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "");
}
