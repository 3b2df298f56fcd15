import { join } from "node:path";
import type { Clock } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import type { LogOptions } from "../../kube/logOptions.ts";
import type { ContainerStatus, PodStatus } from "../../kube/types.ts";
import { attemptPaths } from "../../runtimes/process/layout.ts";
import { readLogs } from "../../runtimes/process/logs/read.ts";
import type { SlurmPod } from "./pod.ts";

/** Where the core in the job keeps its state, in the pod's directory. */
export function jobStateDir(podDir: string): string {
  return join(podDir, "state");
}

function statusOf(status: PodStatus | undefined, name: string): ContainerStatus | undefined {
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].find((s) => s.name === name);
}

/** `process://<uid>_<container>_<attempt>`, as the process runtime names it. */
function attemptDir(podDir: string, containerID: string | undefined): string | undefined {
  const match = /^process:\/\/([^_]+)_([^_]+)_(\d+)$/.exec(containerID ?? "");
  if (!match) return undefined;
  const id = { podUID: match[1]!, container: match[2]!, attempt: Number(match[3]) };
  return attemptPaths(jobStateDir(podDir), id).dir;
}

/**
 * The directory of the attempt that is meant, in the file system that the job shares.
 * @throws {HostletError} NotFound, in the kubelet's words
 */
export function attemptOf(pod: SlurmPod, podDir: string, container: string, previous: boolean): string {
  const status = statusOf(pod.status, container);
  if (!status) throw new HostletError("NotFound", `container ${container} is not valid for pod ${pod.ref.name}`);
  if (previous) {
    const dir = attemptDir(podDir, status.lastState?.terminated?.containerID);
    if (dir) return dir;
    throw new HostletError(
      "NotFound",
      `previous terminated container "${container}" in pod "${pod.ref.name}" not found`,
    );
  }
  const dir = attemptDir(podDir, status.containerID ?? status.lastState?.terminated?.containerID);
  if (dir) return dir;
  const { reason = "ContainerCreating", message = "" } = status.state?.waiting ?? status.state?.terminated ?? {};
  const why = message === "" ? reason : `${reason} (${message})`;
  throw new HostletError("NotFound", `container "${container}" in pod "${pod.ref.name}" is waiting to start: ${why}`);
}

/** @throws {HostletError} NotFound */
export function jobLog(
  pod: SlurmPod,
  podDir: string,
  container: string,
  options: LogOptions,
  clock: Clock,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const dir = attemptOf(pod, podDir, container, options.previous);
  const ended = () => pod.over || options.previous || statusOf(pod.status, container)?.state?.terminated !== undefined;
  const source = {
    get over() {
      return ended();
    },
    onOver: (callback: () => void) => pod.onOver(callback),
  };
  return readLogs(dir, { ...options, previous: false }, source, clock, signal);
}
