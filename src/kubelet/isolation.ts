import type { Pod } from "../kube/types.ts";

export type Isolation = "none" | "sandbox";

export const isolationAnnotation = "hostlet.dev/isolation";

/** A pod may ask for more isolation than its node gives, never for less: the node's word is its owner's. */
export function isolationOf(pod: Pod, node: Isolation): Isolation {
  const asked = [pod.spec?.runtimeClassName, pod.metadata?.annotations?.[isolationAnnotation]];
  return node === "sandbox" || asked.includes("sandbox") ? "sandbox" : "none";
}
