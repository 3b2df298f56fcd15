import type { Family, Sample } from "../../telemetry/exposition.ts";
import { type ContainerFigures, type Reading, total } from "./reading.ts";

/** `/metrics/resource`: what metrics-server reads. Names, labels and their order are the kubelet's. */
export function resourceMetrics({ node, pods, failed }: Reading): Family[] {
  const cpu: Sample[] = [];
  const memory: Sample[] = [];
  const start: Sample[] = [];
  const podCpu: Sample[] = [];
  const podMemory: Sample[] = [];
  for (const { pod, containers } of pods) {
    if (containers.length === 0) continue;
    const { name = "", namespace = "" } = pod.metadata ?? {};
    for (const container of containers) {
      const labels = { container: container.name, namespace, pod: name };
      const { time, startedAt, cpuNanoseconds, memoryWorkingSetBytes } = container;
      if (cpuNanoseconds !== undefined) cpu.push({ labels, value: cpuNanoseconds / 1e9, time });
      if (memoryWorkingSetBytes !== undefined) memory.push({ labels, value: memoryWorkingSetBytes, time });
      if (startedAt !== undefined) start.push({ labels, value: startedAt / 1000 });
    }
    const labels = { namespace, pod: name };
    const time = Math.max(...containers.map((container) => container.time));
    const sum = (figure: (container: ContainerFigures) => number | undefined) => total(containers, figure);
    const podNanoseconds = sum(({ cpuNanoseconds }) => cpuNanoseconds);
    const podBytes = sum(({ memoryWorkingSetBytes }) => memoryWorkingSetBytes);
    if (podNanoseconds !== undefined) podCpu.push({ labels, value: podNanoseconds / 1e9, time });
    if (podBytes !== undefined) podMemory.push({ labels, value: podBytes, time });
  }
  const gauge = (name: string, help: string, samples: Sample[]): Family => ({ name, help, type: "gauge", samples });
  const counter = (name: string, help: string, samples: Sample[]): Family => ({ name, help, type: "counter", samples });
  const ofNode = (value: number): Sample[] => [{ value, time: node.time }];
  const error: Sample[] = [{ value: failed ? 1 : 0 }];
  const core = (what: string) => `Cumulative cpu time consumed by the ${what} in core-seconds`;
  return [
    counter("container_cpu_usage_seconds_total", core("container"), cpu),
    gauge("container_memory_working_set_bytes", "Current working set of the container in bytes", memory),
    gauge("container_start_time_seconds", "Start time of the container since unix epoch in seconds", start),
    counter("node_cpu_usage_seconds_total", core("node"), ofNode(node.cpuNanoseconds / 1e9)),
    gauge(
      "node_memory_working_set_bytes",
      "Current working set of the node in bytes",
      ofNode(node.memory.workingSetBytes),
    ),
    counter("pod_cpu_usage_seconds_total", core("pod"), podCpu),
    gauge("pod_memory_working_set_bytes", "Current working set of the pod in bytes", podMemory),
    gauge("resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", error),
    gauge("scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", error),
  ];
}
