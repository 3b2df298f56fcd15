import { HostletError } from "../../errors.ts";
import { divideUp, readQuantity } from "../../kube/quantity.ts";
import type { Container, Pod, Quantity, ResourceFieldSelector } from "../../kube/types.ts";

/** What the node can give: what a container without a limit of its own is told. */
export type Allocatable = Readonly<Record<string, Quantity>>;

const perMilli = 1_000_000n;
const perUnit = 1_000_000_000n;

/** Limits that default to what the node has. Huge pages do not: they are never overcommitted. */
const defaultedLimits = ["cpu", "memory", "ephemeral-storage"];

/**
 * The value of a `resourceFieldRef`: the quantity divided by the divisor, rounded up.
 * @param container whose resources are meant where the selector names none; undefined in a volume, where it must
 * @throws {HostletError} PodInvalid for a resource or container that doesn't exist
 */
export function resourceField(
  selector: ResourceFieldSelector,
  pod: Pod,
  container: Container | undefined,
  allocatable: Allocatable,
): string {
  const chosen = selector.containerName ? findContainer(pod, selector.containerName) : container;
  if (!chosen) throw new HostletError("PodInvalid", `resourceFieldRef ${selector.resource} names no container`);
  const [, group, resource] = /^(limits|requests)\.(.+)$/.exec(selector.resource) ?? [];
  if (!resource || !(defaultedLimits.includes(resource) || resource.startsWith("hugepages-"))) {
    throw new HostletError("PodInvalid", `unsupported container resource : ${selector.resource}`);
  }
  let quantity = nanos(chosen.resources?.[group as "limits" | "requests"]?.[resource]);
  if (quantity === 0n && group === "limits" && defaultedLimits.includes(resource)) {
    quantity = nanos(allocatable[resource]);
  }
  const divisor = nanos(selector.divisor) || perUnit;
  // Both are rounded up to whole units (CPU: thousandths) before the division, as Kubernetes does it.
  const unit = resource === "cpu" ? perMilli : perUnit;
  return String(divideUp(divideUp(quantity, unit), divideUp(divisor, unit)));
}

function nanos(quantity: Quantity | undefined): bigint {
  if (quantity === undefined) return 0n;
  const read = readQuantity(quantity);
  if (!read) throw new HostletError("PodInvalid", `"${quantity}" is not a quantity such as 500m, 2 or 1.5Gi`);
  return read.nano;
}

function findContainer(pod: Pod, name: string): Container {
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const found = all.find((container) => container.name === name);
  if (!found) throw new HostletError("PodInvalid", `container ${name} not found`);
  return found;
}
