import { readQuantity } from "../../kube/quantity.ts";
import type { Container, Pod } from "../../kube/types.ts";
import type { DeviceVariables } from "./configured.ts";
import type { NodeDevices } from "./find.ts";

/** Ids of devices by container and resource. */
export type AssignedDevices = Record<string, Record<string, string[]>>;

/**
 * Which devices a pod's containers get, of those that no other pod has. As the kubelet's device manager does it, what an
 * init container has had is used again by those after it, while a sidecar keeps its own.
 * @returns the devices, or why there are none to be had
 */
export function assignDevices(
  pod: Pod,
  devices: NodeDevices,
  taken: ReadonlyMap<string, ReadonlySet<string>>,
): AssignedDevices | { refused: string } {
  const assigned: AssignedDevices = {};
  for (const [resource, ids] of devices) {
    const free = ids.filter((id) => !taken.get(resource)?.has(id));
    const reusable: string[] = [];
    const give = (container: Container, again: boolean): string | undefined => {
      const count = asked(container, resource);
      if (count === 0) return undefined;
      if (count > reusable.length + free.length) {
        const available = reusable.length + free.length;
        return `Allocate failed due to requested number of devices unavailable for ${resource}. Requested: ${count}, Available: ${available}, which is unexpected`;
      }
      const given = reusable.splice(0, count);
      given.push(...free.splice(0, count - given.length));
      if (again) reusable.unshift(...given);
      assigned[container.name] = { ...assigned[container.name], [resource]: given };
      return undefined;
    };
    for (const container of pod.spec?.initContainers ?? []) {
      const refused = give(container, container.restartPolicy !== "Always");
      if (refused !== undefined) return { refused };
    }
    for (const container of pod.spec?.containers ?? []) {
      const refused = give(container, false);
      if (refused !== undefined) return { refused };
    }
  }
  return assigned;
}

function asked({ resources }: Container, resource: string): number {
  const quantity = resources?.limits?.[resource] ?? resources?.requests?.[resource];
  return quantity === undefined ? 0 : Number((readQuantity(quantity)?.nano ?? 0n) / 1_000_000_000n);
}

/**
 * What a container is told. One without devices is told so of each resource that the node gives out: unset, the variables would mean
 * all of the host's.
 */
export function deviceEnvironment(
  own: Record<string, string[]>,
  devices: NodeDevices,
  variables: DeviceVariables,
): { given: Record<string, string>; none: Record<string, string> } {
  const [given, none]: [Record<string, string>, Record<string, string>] = [{}, {}];
  for (const resource of new Set([...devices.keys(), ...Object.keys(own)])) {
    const ids = own[resource];
    for (const variable of variables[resource] ?? []) {
      if (ids) given[variable] = ids.join(",");
      else none[variable] = "";
    }
  }
  return { given, none };
}
