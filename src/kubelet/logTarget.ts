import { HostletError } from "../errors.ts";
import type { PodRef, PodStatus } from "../kube/types.ts";
import type { RuntimeContainer } from "../runtimes/contract.ts";
import { type ContainerView, latest } from "./decide/view.ts";

/**
 * The start of a container whose log is meant: the current one, or with `previous` the one before its last restart.
 * @throws {HostletError} NotFound, in the kubelet's words
 */
export function logTarget(
  { name: podName }: PodRef,
  containers: ContainerView[],
  podStatus: PodStatus | undefined,
  name: string,
  previous: boolean,
): RuntimeContainer {
  const container = containers.find((c) => c.spec.name === name);
  if (!container) throw new HostletError("NotFound", `container ${name} is not valid for pod ${podName}`);
  const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = podStatus ?? {};
  const statuses = [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses];
  const status = statuses.find((s) => s.name === name);
  if (previous) {
    const id = status?.lastState?.terminated?.containerID;
    const attempt = container.attempts.find((a) => a.containerID === id);
    if (attempt) return attempt;
    throw new HostletError("NotFound", `previous terminated container "${name}" in pod "${podName}" not found`);
  }
  const attempt = latest(container);
  if (attempt) return attempt;
  const why = status?.state?.waiting?.reason ?? "ContainerCreating";
  throw new HostletError("NotFound", `container "${name}" in pod "${podName}" is waiting to start: ${why}`);
}
