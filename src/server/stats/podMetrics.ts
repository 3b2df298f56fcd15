import type { ContainerStatus, Pod, PodStatus } from "../../kube/types.ts";
import type { Family } from "../../telemetry/exposition.ts";

/** Of `/metrics`: how many pods and containers there are, under the kubelet's names. */
export function podMetrics(
  nodeName: string,
  pods: readonly Pod[],
  statusOf: (uid: string) => PodStatus | undefined,
): Family[] {
  const containers = { created: 0, exited: 0, running: 0, unknown: 0 };
  let running = 0;
  for (const pod of pods) {
    const status = statusOf(pod.metadata?.uid ?? "") ?? pod.status;
    const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
    for (const container of statuses) containers[stateOf(container)]++;
    if (statuses.some(({ state }) => state?.running)) running++;
  }
  const gauge = (name: string, help: string, samples: Family["samples"]): Family => ({
    name,
    help,
    type: "gauge",
    samples,
  });
  return [
    gauge("kubelet_node_name", "The node's name. The count is always 1.", [{ labels: { node: nodeName }, value: 1 }]),
    gauge("kubelet_desired_pods", "The number of pods that the agent is instructed to run.", [{ value: pods.length }]),
    gauge("kubelet_running_pods", "Number of pods that have a running container.", [{ value: running }]),
    gauge(
      "kubelet_running_containers",
      "Number of containers by their state.",
      Object.entries(containers).map(([container_state, value]) => ({ labels: { container_state }, value })),
    ),
  ];
}

function stateOf({ state }: ContainerStatus): "created" | "exited" | "running" | "unknown" {
  if (state?.running) return "running";
  if (state?.terminated) return "exited";
  return state?.waiting ? "created" : "unknown";
}
