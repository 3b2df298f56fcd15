import type { Container, ContainerStatus, Pod } from "../kube/types.ts";

export function hasEnded(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}

/** All container statuses of the pod, init containers first. */
export function containerStatuses(pod: Pod): ContainerStatus[] {
  return [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
}

/**
 * What `hostlet run` exits with: 0 where every pod Succeeded, else the highest exit code of a container in one that did
 * not, and at least 1.
 */
export function exitCode(pods: Iterable<Pod>): number {
  let code = 0;
  for (const pod of pods) {
    if (pod.status?.phase !== "Succeeded") code = Math.max(code, 1, ...exitCodes(pod));
  }
  return code;
}

/** A sidecar is told to end once the others have: how it does says nothing of the pod. */
function exitCodes(pod: Pod): number[] {
  const sidecars = new Set((pod.spec?.initContainers ?? []).filter(isSidecar).map((c) => c.name));
  return containerStatuses(pod).flatMap(({ name, state }) => {
    const ended = state?.terminated;
    // A container that never began is reported with 137 once its pod has failed: that is nothing it exited with.
    const neverBegan = ended?.reason === "ContainerStatusUnknown" && !ended.startedAt;
    return sidecars.has(name) || neverBegan ? [] : (ended?.exitCode ?? []);
  });
}

function isSidecar(container: Container): boolean {
  return container.restartPolicy === "Always";
}
