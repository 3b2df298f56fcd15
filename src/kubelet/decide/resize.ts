import { readQuantity } from "../../kube/quantity.ts";
import type { Container, Pod } from "../../kube/types.ts";

/** The pod with the resources that its containers were let in with: what it asks for since then is not given. */
export function withAllocated(pod: Pod, allocated: Pod): Pod {
  if (!pod.spec || resized(allocated, pod).length === 0) return pod;
  const before = new Map(containersOf(allocated).map((container) => [container.name, container]));
  const keep = (container: Container): Container => {
    const known = before.get(container.name);
    if (!known) return container;
    const { resources: _, ...rest } = container;
    return { ...rest, ...(known.resources && { resources: known.resources }) };
  };
  const { initContainers, containers } = pod.spec;
  const spec = { ...pod.spec, containers: containers.map(keep) };
  return { ...pod, spec: { ...spec, ...(initContainers && { initContainers: initContainers.map(keep) }) } };
}

/** Why the resources that the pod asks for now are not given, in the message of its condition; undefined: they are as they were. */
export function resizeRefusal(allocated: Pod, asked: Pod): string | undefined {
  const names = resized(allocated, asked);
  if (names.length === 0) return undefined;
  return `In-place resize of containers is not supported by this node: ${names.join(", ")}`;
}

function resized(allocated: Pod, asked: Pod): string[] {
  const before = new Map(containersOf(allocated).map((container) => [container.name, amounts(container)]));
  return containersOf(asked)
    .filter((container) => before.has(container.name) && before.get(container.name) !== amounts(container))
    .map(({ name }) => name);
}

function containersOf({ spec }: Pod): Container[] {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
}

/** Comparable: `1` and `1000m` are the same amount. */
function amounts({ resources = {} }: Container): string {
  const sorted = (list: Record<string, string> = {}) =>
    Object.entries(list)
      .map(([name, text]) => `${name}=${readQuantity(text)?.nano ?? text}`)
      .sort();
  return JSON.stringify([sorted(resources.limits), sorted(resources.requests)]);
}
