import { type Clock, sleep } from "../clock.ts";
import { isConflict, isNotFound } from "../kube/apiError.ts";
import type { KubeClient } from "../kube/client.ts";
import { paths } from "../kube/paths.ts";
import { type Pod, podRef } from "../kube/types.ts";
import type { Agent } from "../node/agent.ts";

/** How long the node may take to remove what ended pods leave. */
const emptyMs = 10_000;

/** Deletes these very pods, those that still are. @param gracePeriodSeconds undefined: each pod's own; 0: at once */
export async function deletePods(client: KubeClient, pods: Pod[], gracePeriodSeconds?: number): Promise<void> {
  const grace = gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds };
  await Promise.all(
    pods.map(async (pod) => {
      const { namespace, name, uid } = podRef(pod);
      await client.delete(paths.pods(namespace, name), { ...grace, preconditions: { uid } }).catch((error: unknown) => {
        if (!isNotFound(error) && !isConflict(error)) throw error;
      });
    }),
  );
}

/** Waits a while for the node to have nothing left of any pod. @returns whether it has not */
export async function emptied(agent: Agent, clock: Clock): Promise<boolean> {
  const until = clock.now() + emptyMs;
  while (agent.podCount() > 0) {
    if (clock.now() > until) return false;
    await sleep(clock, 10);
  }
  return true;
}

export function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
