import type { Pod } from "../kube/types.ts";

/**
 * What the core needs of a pod's object, for as long as the pod is here: 500 pods are kept at a time. Of the status
 * only the conditions that the readiness gates ask for; our own status is known better here.
 */
export function slimPod(pod: Pod): Pod {
  const { managedFields: _, ...metadata } = pod.metadata ?? {};
  const gates = new Set((pod.spec?.readinessGates ?? []).map((gate) => gate.conditionType));
  const conditions = (pod.status?.conditions ?? []).filter((condition) => gates.has(condition.type));
  return { metadata, ...(pod.spec && { spec: pod.spec }), ...(conditions.length > 0 && { status: { conditions } }) };
}

/**
 * Whether a newer object of the same pod can change what is to be done or said: it is not just our own status that came back.
 * An API server that counts no generation of pods (before Kubernetes 1.33) leaves no choice but to look again.
 */
export function isNews(before: Pod, after: Pod): boolean {
  const generation = after.metadata?.generation;
  if (generation === undefined || generation !== before.metadata?.generation) return true;
  return JSON.stringify(changing(before)) !== JSON.stringify(changing(slimPod(after)));
}

function changing({ metadata, status }: Pod): unknown {
  return [metadata?.labels, metadata?.annotations, metadata?.deletionTimestamp, status?.conditions];
}
