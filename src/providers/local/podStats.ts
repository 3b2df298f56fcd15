import { join } from "node:path";
import { type Pod, podRef } from "../../kube/types.ts";
import { kindDirs } from "../../kubelet/volumes/kinds.ts";
import type { DiskUsage } from "../../kubelet/volumes/usage.ts";
import type { ContainerStats } from "../../runtimes/contract.ts";
import type { PodStats } from "../contract.ts";

/** What each pod uses: of its containers only the latest attempt runs. Volumes that were not counted yet are left out. */
export function podStats(
  pods: readonly Pod[],
  containers: readonly ContainerStats[],
  dirOf: (pod: Pod) => string,
  usage: Pick<DiskUsage, "of">,
): PodStats[] {
  const byPod = new Map<string, PodStats["containers"]>();
  for (const { id, ...figures } of containers) {
    const list = byPod.get(id.podUID) ?? [];
    list.push({ name: id.container, ...figures });
    byPod.set(id.podUID, list);
  }
  const listed = pods.map((pod) => ({ pod, volumes: emptyDirs(pod, dirOf(pod)) }));
  const used = usage.of(listed.flatMap(({ volumes }) => volumes.map(({ dir }) => dir)));
  return listed.map(({ pod, volumes }) => ({
    pod: podRef(pod),
    containers: byPod.get(podRef(pod).uid) ?? [],
    volumes: volumes.flatMap(({ name, dir }) => {
      const usedBytes = used.get(dir);
      return usedBytes === undefined ? [] : [{ name, usedBytes }];
    }),
  }));
}

/** What a pod can write to without anybody's leave; other volumes are small, or not the pod's. */
function emptyDirs(pod: Pod, podDir: string): { name: string; dir: string }[] {
  const volumes = (pod.spec?.volumes ?? []).filter(({ emptyDir }) => emptyDir);
  return volumes.map(({ name }) => ({ name, dir: join(podDir, kindDirs.emptyDir, name) }));
}
