import { divideUp, readQuantity } from "../kube/quantity.ts";
import type { Container, Pod, Quantity } from "../kube/types.ts";
import type { ContainerResources } from "../runtimes/contract.ts";

const nanosPerMilli = 1_000_000n;
const nanosPerUnit = 1_000_000_000n;

/** Requests and limits as a runtime takes them; undefined where the container has none. What is no quantity counts as none. */
export function containerResources({ resources = {} }: Pick<Container, "resources">): ContainerResources | undefined {
  const { limits = {} } = resources;
  // Without a request of its own a container asks for its limit, as an API server sets it.
  const requests = { ...limits, ...resources.requests };
  const found: ContainerResources = {};
  const set = (field: Exclude<keyof ContainerResources, "qos">, quantity: Quantity | undefined, unit: bigint) => {
    const read = quantity === undefined ? undefined : readQuantity(quantity);
    if (read && read.nano > 0n) found[field] = Number(divideUp(read.nano, unit));
  };
  set("cpuRequestMillis", requests.cpu, nanosPerMilli);
  set("cpuLimitMillis", limits.cpu, nanosPerMilli);
  set("memoryRequestBytes", requests.memory, nanosPerUnit);
  set("memoryLimitBytes", limits.memory, nanosPerUnit);
  return Object.keys(found).length > 0 ? found : undefined;
}

/** The pod's class, as the API server reckons it: by cpu and memory of all its containers. */
export function qosOf({ spec }: Pod): NonNullable<ContainerResources["qos"]> {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  let [any, guaranteed] = [false, true];
  for (const { resources = {} } of containers) {
    for (const name of ["cpu", "memory"]) {
      const [limit, request] = [resources.limits?.[name], resources.requests?.[name]].map((quantity) => {
        const nano = quantity === undefined ? 0n : (readQuantity(quantity)?.nano ?? 0n);
        return nano > 0n ? nano : undefined;
      });
      if (limit !== undefined || request !== undefined) any = true;
      if (limit === undefined || (request !== undefined && request !== limit)) guaranteed = false;
    }
  }
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}
