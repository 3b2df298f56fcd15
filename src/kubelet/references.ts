import type { Pod } from "../kube/types.ts";
import { envReferences, type ObjectReference } from "./env/references.ts";
import { volumeReferences } from "./volumes/kinds.ts";

/** Every ConfigMap and Secret that a pod's volumes and environment name; one that several name comes several times. */
export function referencedObjects(pod: Pod): ObjectReference[] {
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  return [...volumeReferences(pod), ...containers.flatMap((container) => envReferences(pod, container))];
}
