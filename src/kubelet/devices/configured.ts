import type { NodeConfig } from "../../config/nodeConfig.ts";
import { readQuantity } from "../../kube/quantity.ts";
import { amd, type NodeDevices, nvidia } from "./find.ts";

type Configured = Pick<NodeConfig, "extendedResources" | "extendedResourceDevices" | "extendedResourceVariables">;

/** Variables that tell a container its devices, by resource. */
export type DeviceVariables = Readonly<Record<string, readonly string[]>>;

/** The variables by which the makers' libraries are told, and those of the configuration. */
export function deviceVariables({ extendedResourceVariables }: Configured): DeviceVariables {
  return {
    [nvidia]: ["CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"],
    [amd]: ["ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"],
    ...extendedResourceVariables,
  };
}

/**
 * The devices of the node: those that the configuration names; where it has a count, so many of those found, or else
 * numbers from 0; otherwise all that were found. A resource that no variable tells of is only counted.
 */
export function nodeDevices(config: Configured, found: NodeDevices): NodeDevices {
  const { extendedResources, extendedResourceDevices } = config;
  const devices = new Map<string, readonly string[]>(found);
  for (const name of Object.keys(deviceVariables(config))) {
    const quantity = extendedResources[name];
    if (quantity === undefined) continue;
    const count = Number((readQuantity(quantity)?.nano ?? 0n) / 1_000_000_000n);
    const ofHost = found.get(name) ?? [];
    devices.set(
      name,
      ofHost.length >= count ? ofHost.slice(0, count) : Array.from({ length: count }, (_, i) => `${i}`),
    );
  }
  for (const [name, ids] of Object.entries(extendedResourceDevices)) devices.set(name, [...new Set(ids)]);
  return devices;
}

/** The configuration with the devices counted in what the node has. */
export function withDevices<C extends Configured>(config: C, devices: NodeDevices): C {
  const counts = Object.fromEntries([...devices].map(([name, ids]) => [name, String(ids.length)]));
  return { ...config, extendedResources: { ...config.extendedResources, ...counts } };
}
