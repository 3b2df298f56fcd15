import { toTime } from "../../clock.ts";
import type { ContainerStatus, Pod, PodStatus } from "../../kube/types.ts";
import type { WirePodStatus } from "../../providers/interlink/wire/types.ts";

/**
 * A pod's status as interLink's protocol has it: containers alone, of which the other side makes a phase. interLink's own virtual
 * kubelet takes a pod for over when all its main containers have ended, and never before: so a pod that goes on has one that waits,
 * and of one that is over none waits.
 */
export function wireStatus(pod: Pod, status: PodStatus, jobID: string, now: number): WirePodStatus {
  const mains = status.containerStatuses ?? [];
  return {
    ...names(pod, jobID),
    containers: settle(pod, status, mains, now),
    initContainers: status.initContainerStatuses ?? [],
  };
}

/** Of a pod that had been given to a plugin here, and of which nothing is left. */
export function lostStatus(pod: Pod, jobID: string, now: number): WirePodStatus {
  const message = "Nothing is known here of the pod, which had been created";
  const containers = (pod.spec?.containers ?? []).map(({ name, image = "" }) => ({
    name,
    image,
    imageID: "",
    restartCount: 0,
    ready: false,
    state: ended(137, "ContainerStatusUnknown", message, now),
  }));
  return { ...names(pod, jobID), containers, initContainers: [] };
}

/** A pod that is not here: no container says anything. */
export function unknownStatus(pod: Pod): WirePodStatus {
  return { ...names(pod, ""), containers: [], initContainers: [], hostlet: { unknown: true } };
}

function settle(pod: Pod, status: PodStatus, mains: ContainerStatus[], now: number): ContainerStatus[] {
  const isOver = (container: ContainerStatus) => container.state?.terminated !== undefined;
  if (status.phase === "Succeeded" || status.phase === "Failed") {
    const code = status.phase === "Failed" ? 1 : 0;
    const { reason = "PodFailed", message = "The pod failed before this container was started" } = status;
    const all = mains.length > 0 ? mains : (pod.spec?.containers ?? []).map(neverStarted);
    const settled = all.map((one) =>
      isOver(one) ? one : { ...one, ready: false, state: ended(code, reason, message, now) },
    );
    return honest(status, settled);
  }
  if (mains.length === 0) return (pod.spec?.containers ?? []).map(neverStarted).map(waiting);
  if (!mains.every(isOver)) return mains;
  return mains.map((one, index) => (index > 0 ? one : waiting(one)));
}

function waiting(container: ContainerStatus): ContainerStatus {
  return { ...container, state: { waiting: { reason: "ContainerCreating" } } };
}

/** A Failed pod whose containers all say 0 (its deadline was exceeded, it was evicted) must not become a success over there. */
function honest(status: PodStatus, mains: ContainerStatus[]): ContainerStatus[] {
  if (status.phase !== "Failed" || mains.some(({ state }) => state?.terminated?.exitCode !== 0)) return mains;
  return mains.map((one) => {
    const { reason = "PodFailed", message } = status;
    const terminated = { ...one.state?.terminated, exitCode: 1, reason, ...(message !== undefined && { message }) };
    return { ...one, state: { terminated } };
  });
}

function neverStarted({ name, image = "" }: { name: string; image?: string }): ContainerStatus {
  return { name, image, imageID: "", restartCount: 0, ready: false, state: {} };
}

function ended(exitCode: number, reason: string, message: string, now: number) {
  return { terminated: { exitCode, reason, message, finishedAt: toTime(now) } };
}

function names(pod: Pod, jobID: string): Pick<WirePodStatus, "name" | "UID" | "namespace" | "JID"> {
  const { name = "", uid = "", namespace = "" } = pod.metadata ?? {};
  return { name, UID: uid, namespace, JID: jobID };
}
