import { toTime } from "../../clock.ts";
import type { FileSystemFigures } from "./nodeFigures.ts";
import { type ContainerFigures, nanoCores, type PodReading, type Readings, total } from "./reading.ts";

/** `/stats/summary` (kubelet stats/v1alpha1). A figure that isn't known is left out, as the kubelet does. */
export interface Summary {
  node: object;
  pods: object[];
}

/** @param short `only_cpu_and_memory`: no file systems, no processes */
export function summaryOf(nodeName: string, { latest, previous }: Readings, short = false): Summary {
  const { node, pods } = latest;
  const time = toTime(node.time);
  const cpu = cpuOf({ time: node.time, cpuNanoseconds: node.cpuNanoseconds }, previous?.node);
  const { totalBytes, workingSetBytes, usageBytes, rssBytes, pageFaults, majorPageFaults } = node.memory;
  const before = new Map(previous?.pods.map((reading) => [reading.pod.metadata?.uid, reading]));
  const fs = node.fs && fileSystem(node.fs);
  return {
    node: {
      nodeName,
      startTime: toTime(node.startedAt),
      cpu,
      memory: {
        time,
        availableBytes: Math.max(0, totalBytes - workingSetBytes),
        usageBytes,
        workingSetBytes,
        rssBytes,
        pageFaults,
        majorPageFaults,
      },
      ...(!short && fs && { fs, runtime: { imageFs: fs } }),
      ...(!short && { rlimit: { time, curproc: node.runningProcesses } }),
    },
    pods: pods
      .filter(({ containers }) => containers.length > 0)
      .map((reading) => podOf(reading, before.get(reading.pod.metadata?.uid), node.fs, short)),
  };
}

function podOf(
  { pod, containers, volumes }: PodReading,
  before: PodReading | undefined,
  fs: FileSystemFigures | undefined,
  short: boolean,
): object {
  const { name, namespace, uid } = pod.metadata ?? {};
  const time = Math.max(...containers.map((container) => container.time));
  const sum = (figure: (container: ContainerFigures) => number | undefined) => total(containers, figure);
  const parts = containers.map((container) => ({ container, before: earlier(container, before) }));
  const cores = total(parts, (part) => nanoCores(part.container, part.before));
  const used = (total(volumes, ({ usedBytes }) => usedBytes) ?? 0) + (sum(({ logBytes }) => logBytes) ?? 0);
  return {
    podRef: { name, namespace, uid },
    startTime: pod.status?.startTime ?? null,
    containers: parts.map((part) => containerOf(part.container, part.before, fs, short)),
    cpu: defined({
      time: toTime(time),
      usageNanoCores: cores,
      usageCoreNanoSeconds: sum(({ cpuNanoseconds }) => whole(cpuNanoseconds)),
    }),
    memory: memoryOf(time, {
      usageBytes: sum(({ memoryUsageBytes }) => memoryUsageBytes),
      workingSetBytes: sum(({ memoryWorkingSetBytes }) => memoryWorkingSetBytes),
      rssBytes: sum(({ memoryRssBytes }) => memoryRssBytes),
    }),
    ...(!short && {
      volume: volumes.map((volume) => ({ ...on(fs), usedBytes: volume.usedBytes, name: volume.name })),
      "ephemeral-storage": { ...on(fs), usedBytes: used },
      process_stats: defined({ process_count: sum(({ processes }) => processes) }),
    }),
  };
}

/** The same attempt: a container that was started again counts from nothing. */
function earlier({ name, startedAt }: ContainerFigures, before: PodReading | undefined): ContainerFigures | undefined {
  return before?.containers.find((other) => other.name === name && other.startedAt === startedAt);
}

function containerOf(
  container: ContainerFigures,
  before: ContainerFigures | undefined,
  fs: FileSystemFigures | undefined,
  short: boolean,
): object {
  const { name, time, startedAt, logBytes } = container;
  return {
    name,
    startTime: startedAt === undefined ? null : toTime(startedAt),
    cpu: cpuOf(container, before),
    memory: memoryOf(time, {
      usageBytes: container.memoryUsageBytes,
      workingSetBytes: container.memoryWorkingSetBytes,
      rssBytes: container.memoryRssBytes,
    }),
    ...(!short && logBytes !== undefined && { logs: { ...on(fs), usedBytes: logBytes } }),
  };
}

type Counted = { time: number; cpuNanoseconds?: number };

function cpuOf(now: Counted, before: Counted | undefined): object {
  return defined({
    time: toTime(now.time),
    usageNanoCores: nanoCores(now, before),
    usageCoreNanoSeconds: whole(now.cpuNanoseconds),
  });
}

function memoryOf(time: number, figures: Record<string, number | undefined>): object {
  return defined({ time: toTime(time), ...figures });
}

function fileSystem({ time, ...figures }: FileSystemFigures): object {
  return { time: toTime(time), ...figures, inodesUsed: figures.inodes - figures.inodesFree };
}

/** The file system that it is on, without what others use there. */
function on(fs: FileSystemFigures | undefined): object {
  if (!fs) return {};
  const { time, availableBytes, capacityBytes, inodes, inodesFree } = fs;
  return { time: toTime(time), availableBytes, capacityBytes, inodes, inodesFree };
}

function defined(figures: Record<string, string | number | undefined>): object {
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));
}

const whole = (value: number | undefined) => (value === undefined ? undefined : Math.round(value));
