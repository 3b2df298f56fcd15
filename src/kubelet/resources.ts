import { divideUp, readQuantity } from "../kube/quantity.ts";
import type { Container, Quantity } from "../kube/types.ts";
import type { ContainerResources } from "../runtimes/contract.ts";

const nanosPerMilli = 1_000_000n;
const nanosPerUnit = 1_000_000_000n;

/** Requests and limits as a runtime takes them; undefined where the container has none. What is no quantity counts as none. */
export function containerResources({ resources = {} }: Pick<Container, "resources">): ContainerResources | undefined {
  const { limits = {} } = resources;
  // Without a request of its own a container asks for its limit, as an API server sets it.
  const requests = { ...limits, ...resources.requests };
  const found: ContainerResources = {};
  const set = (field: keyof ContainerResources, quantity: Quantity | undefined, unit: bigint) => {
    const read = quantity === undefined ? undefined : readQuantity(quantity);
    if (read && read.nano > 0n) found[field] = Number(divideUp(read.nano, unit));
  };
  set("cpuRequestMillis", requests.cpu, nanosPerMilli);
  set("cpuLimitMillis", limits.cpu, nanosPerMilli);
  set("memoryRequestBytes", requests.memory, nanosPerUnit);
  set("memoryLimitBytes", limits.memory, nanosPerUnit);
  return Object.keys(found).length > 0 ? found : undefined;
}
