import type { Family, Labels } from "../../telemetry/exposition.ts";
import { type ContainerFigures, type Reading, total } from "./reading.ts";

/** A line of the table below: what dashboards and alerts use most of cadvisor's series. */
interface Series {
  name: string;
  help: string;
  type: Family["type"];
  labels?: Labels;
  value(figures: Omit<ContainerFigures, "name">): number | undefined;
}

const seconds = (nanoseconds: number | undefined) => (nanoseconds === undefined ? undefined : nanoseconds / 1e9);

const series: readonly Series[] = [
  {
    name: "container_cpu_usage_seconds_total",
    help: "Cumulative cpu time consumed in seconds.",
    type: "counter",
    labels: { cpu: "total" },
    value: ({ cpuNanoseconds }) => seconds(cpuNanoseconds),
  },
  {
    name: "container_memory_usage_bytes",
    help: "Current memory usage in bytes, including all memory regardless of when it was accessed",
    type: "gauge",
    value: ({ memoryUsageBytes }) => memoryUsageBytes,
  },
  {
    name: "container_memory_working_set_bytes",
    help: "Current working set in bytes.",
    type: "gauge",
    value: ({ memoryWorkingSetBytes }) => memoryWorkingSetBytes,
  },
  {
    name: "container_memory_rss",
    help: "Size of RSS in bytes.",
    type: "gauge",
    value: ({ memoryRssBytes }) => memoryRssBytes,
  },
  {
    name: "container_processes",
    help: "Number of processes running inside the container.",
    type: "gauge",
    value: ({ processes }) => processes,
  },
  {
    name: "container_start_time_seconds",
    help: "Start time of the container since unix epoch in seconds.",
    type: "gauge",
    value: ({ startedAt }) => (startedAt === undefined ? undefined : startedAt / 1000),
  },
  {
    name: "container_last_seen",
    help: "Last time a container was seen by the exporter",
    type: "gauge",
    value: ({ time }) => Math.floor(time / 1000),
  },
];

/** `/metrics/cadvisor`: the host as container `/`, each pod as one without a name, and each container. */
export function cadvisorMetrics({ node, pods }: Reading): Family[] {
  const { memory, cores, cpuNanoseconds, startedAt, time } = node;
  const root = {
    time,
    startedAt,
    cpuNanoseconds,
    memoryUsageBytes: memory.usageBytes,
    memoryWorkingSetBytes: memory.workingSetBytes,
    memoryRssBytes: memory.rssBytes,
  };
  const rows: { labels: Labels; figures: Omit<ContainerFigures, "name"> }[] = [
    { labels: labelsOf("/"), figures: root },
  ];
  for (const { pod, containers } of pods) {
    if (containers.length === 0) continue;
    const { name = "", namespace = "", uid = "" } = pod.metadata ?? {};
    rows.push({ labels: labelsOf(`/pods/${uid}`, { namespace, pod: name }), figures: sumOf(containers) });
    for (const container of containers) {
      const image = pod.spec?.containers.find((one) => one.name === container.name)?.image ?? "";
      const names = { container: container.name, image, namespace, pod: name };
      rows.push({ labels: labelsOf(`/pods/${uid}/${container.name}`, names), figures: container });
    }
  }
  const families = series.map(({ name, help, type, labels: more, value }): Family => {
    const samples = rows.flatMap(({ labels, figures }) => {
      const found = value(figures);
      return found === undefined ? [] : [{ labels: { ...labels, ...more }, value: found, time: figures.time }];
    });
    return { name, help, type, samples };
  });
  return [
    ...families,
    { name: "machine_cpu_cores", help: "Number of logical CPU cores.", type: "gauge", samples: [{ value: cores }] },
    {
      name: "machine_memory_bytes",
      help: "Amount of memory installed on the machine.",
      type: "gauge",
      samples: [{ value: memory.totalBytes }],
    },
  ];
}

function labelsOf(
  id: string,
  names: Partial<Record<"container" | "image" | "namespace" | "pod", string>> = {},
): Labels {
  const { container = "", image = "", namespace = "", pod = "" } = names;
  return { container, id, image, name: container === "" ? "" : id, namespace, pod };
}

function sumOf(containers: readonly ContainerFigures[]): Omit<ContainerFigures, "name"> {
  const sum = (figure: (container: ContainerFigures) => number | undefined) => total(containers, figure);
  const figures = {
    cpuNanoseconds: sum(({ cpuNanoseconds }) => cpuNanoseconds),
    memoryUsageBytes: sum(({ memoryUsageBytes }) => memoryUsageBytes),
    memoryWorkingSetBytes: sum(({ memoryWorkingSetBytes }) => memoryWorkingSetBytes),
    memoryRssBytes: sum(({ memoryRssBytes }) => memoryRssBytes),
    processes: sum(({ processes }) => processes),
  };
  const known = Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));
  return { time: Math.max(...containers.map(({ time }) => time)), ...known };
}
