import type { ContainerStats } from "../contract.ts";
import type { StatsAnswer } from "./api.ts";
import type { EngineClient } from "./engineClient.ts";
import { hasStatus } from "./engineError.ts";
import { timeOf } from "./observed.ts";
import type { Tracked } from "./tracked.ts";

/** Undefined for a container that has ended meanwhile. */
export async function readStats(
  client: EngineClient,
  { engineID, container }: Tracked,
  now: number,
): Promise<ContainerStats | undefined> {
  try {
    const query = { stream: false, "one-shot": true };
    const answer = await client.json<StatsAnswer>({ method: "GET", path: `/containers/${engineID}/stats`, query });
    return statsOf(answer, container, now);
  } catch (error) {
    if (hasStatus(error, 404, 409)) return undefined;
    throw error;
  }
}

export function statsOf(answer: StatsAnswer, container: Tracked["container"], now: number): ContainerStats | undefined {
  const cpu = answer.cpu_stats?.cpu_usage?.total_usage;
  const { usage, stats = {} } = answer.memory_stats ?? {};
  // An engine that answers for a container that has just ended has no figures.
  if (!cpu && !usage) return undefined;
  // As the kubelet counts: without the file pages that the kernel can take back at once (cgroup v1, v2).
  const inactive = stats.total_inactive_file ?? stats.inactive_file ?? 0;
  const rss = stats.total_rss ?? stats.anon;
  const processes = answer.pids_stats?.current;
  return {
    id: container.id,
    time: timeOf(answer.read) ?? now,
    ...(container.startedAt !== undefined && { startedAt: container.startedAt }),
    ...(cpu !== undefined && { cpuNanoseconds: cpu }),
    ...(usage !== undefined && { memoryUsageBytes: usage, memoryWorkingSetBytes: Math.max(0, usage - inactive) }),
    ...(rss !== undefined && { memoryRssBytes: rss }),
    ...(processes !== undefined && { processes }),
  };
}
