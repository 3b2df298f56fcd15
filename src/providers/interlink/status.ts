import { toTime } from "../../clock.ts";
import type { Container, ContainerState, ContainerStatus, Pod, PodCondition, PodStatus } from "../../kube/types.ts";
import type { Eviction } from "../../kubelet/eviction.ts";
import type { WirePodStatus } from "./wire/types.ts";

export interface StatusInput {
  hostIP: string;
  /** ms */
  now: number;
  startedAt: number;
  /** As last reported, for transition times. */
  previous: PodStatus | undefined;
}

type Phase = "Pending" | "Running" | "Succeeded" | "Failed";
type Waiting = { reason: string; message?: string };

/** Before anything is known from the far end. */
export function waitingStatus(pod: Pod, waiting: Waiting, input: StatusInput): PodStatus {
  return whole(pod, "Pending", statuses(pod, { waiting }), input);
}

/** The far end refused the pod: it never ran. */
export function refusedStatus(pod: Pod, message: string, input: StatusInput): PodStatus {
  const at = toTime(input.now);
  const state = { terminated: { exitCode: 1, reason: "Error", message, startedAt: at, finishedAt: at } };
  return { ...whole(pod, "Failed", statuses(pod, state), input), reason: "ProviderFailed", message };
}

/** Nobody can say how the pod's containers ended: what is known to have ended stays so. */
export function endedStatus(pod: Pod, message: string, input: StatusInput): PodStatus {
  const ended = (status: ContainerStatus): ContainerStatus => {
    if (status.state?.terminated) return status;
    const startedAt = status.state?.running?.startedAt;
    const terminated = {
      exitCode: 137,
      reason: "ContainerStatusUnknown",
      message,
      ...(startedAt !== undefined && { startedAt }),
      finishedAt: toTime(input.now),
    };
    return { ...status, ready: false, started: false, state: { terminated } };
  };
  const before = input.previous?.containerStatuses ?? statuses(pod, {}).mains;
  const inits = input.previous?.initContainerStatuses ?? statuses(pod, {}).inits;
  const mains = before.map(ended);
  const failed = [...mains, ...inits].some(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0);
  return whole(pod, failed ? "Failed" : "Succeeded", { mains, inits }, input);
}

/** The node's own reason for a pod's end, on top of what is known of its containers. */
export function evictedStatus(pod: Pod, eviction: Eviction, input: StatusInput): PodStatus {
  const { reason, message } = eviction;
  const status = endedStatus(pod, message, input);
  const condition = { type: "DisruptionTarget", status: "True", reason: "TerminationByKubelet", message } as const;
  const conditions = [...(status.conditions ?? []), { ...condition, lastTransitionTime: toTime(input.now) }];
  return { ...status, phase: "Failed", reason, message, conditions };
}

/** What the far end says of a pod, as the cluster is to see it. */
export function statusOf(pod: Pod, reply: WirePodStatus, input: StatusInput): PodStatus {
  if (reply.hostlet?.status?.phase) return exactStatus(pod, reply.hostlet.status, input);
  const { mains, inits } = statuses(pod, {}, reply);
  return whole(pod, phaseOf(pod, mains, inits), { mains, inits }, input);
}

/** Whether the far end has anything to say of the pod: an answer without any state comes from one that does not know it. */
export function knows(reply: WirePodStatus | undefined): boolean {
  if (!reply || reply.hostlet?.unknown) return false;
  const all = [...reply.containers, ...reply.initContainers];
  return reply.hostlet?.status !== undefined || all.some(({ state }) => Object.keys(state ?? {}).length > 0);
}

export function isFinal(status: PodStatus | undefined): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}

/** The far end is a kubelet core like this one: only addresses and generations are the node's own. */
function exactStatus(pod: Pod, status: PodStatus, { hostIP }: StatusInput): PodStatus {
  const { observedGeneration: _, ...rest } = status;
  const generation = pod.metadata?.generation;
  return {
    ...rest,
    ...(generation !== undefined && { observedGeneration: generation }),
    hostIP,
    hostIPs: [{ ip: hostIP }],
  };
}

function statuses(pod: Pod, otherwise: ContainerState, reply?: WirePodStatus) {
  const mainOf = (container: Container) => {
    const found = reply?.containers.find(({ name }) => name === container.name);
    return containerStatus(container, found, found ? {} : otherwise);
  };
  const mains = (pod.spec?.containers ?? []).map(mainOf);
  const begun = mains.some(({ state }) => state?.running || state?.terminated);
  const inits = (pod.spec?.initContainers ?? []).map((container) => {
    const found = reply?.initContainers.find(({ name }) => name === container.name);
    if (found || !begun || otherwise.waiting) return containerStatus(container, found, otherwise);
    // Plugins that run init containers and don't tell of them: main containers only start when those are done.
    if (container.restartPolicy === "Always") return containerStatus(container, undefined, otherwise);
    return {
      ...containerStatus(container, undefined, { terminated: { exitCode: 0, reason: "Completed" } }),
      ready: true,
    };
  });
  return { mains, inits };
}

function containerStatus(container: Container, found: ContainerStatus | undefined, otherwise: ContainerState) {
  const state = honest(found?.state ?? otherwise);
  const running = state.running !== undefined;
  const { ready, started } = found ?? {};
  const status: ContainerStatus = {
    name: container.name,
    image: found?.image || (container.image ?? ""),
    imageID: found?.imageID ?? "",
    ...(found?.containerID && { containerID: found.containerID }),
    restartCount: found?.restartCount ?? 0,
    ready: running ? ready !== false || started === undefined : false,
    started: running,
    state: state.waiting || state.running || state.terminated ? state : { waiting: { reason: "ContainerCreating" } },
    lastState: found?.lastState ?? {},
  };
  return status;
}

/** Exit codes as scripts have them: timeout(1) ends with 124. */
const timedOut = 124;

/**
 * Batch systems tell a job that ran out of time with the exit code of its last step, which may be 0: a reason that
 * is no success never goes with one.
 */
function honest(state: ContainerState): ContainerState {
  const { terminated } = state;
  if (!terminated) return state;
  const { reason = "", exitCode = 0 } = terminated;
  const success = exitCode === 0;
  if (!success || /^(|Completed|Succeeded)$/i.test(reason)) {
    return { terminated: { ...terminated, exitCode, reason: reason || (success ? "Completed" : "Error") } };
  }
  return { terminated: { ...terminated, exitCode: /time/i.test(reason) ? timedOut : 1 } };
}

function phaseOf(pod: Pod, mains: ContainerStatus[], inits: ContainerStatus[]): Phase {
  const codes = mains.map(({ state }) => state?.terminated?.exitCode);
  if (mains.length > 0 && codes.every((code) => code !== undefined))
    return codes.some(Boolean) ? "Failed" : "Succeeded";
  const initFailed = inits.some(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0);
  const begun = mains.some(({ state }) => state?.running || state?.terminated);
  if (initFailed && !begun && pod.spec?.restartPolicy === "Never") return "Failed";
  return begun ? "Running" : "Pending";
}

function whole(
  pod: Pod,
  phase: Phase,
  { mains, inits }: { mains: ContainerStatus[]; inits: ContainerStatus[] },
  input: StatusInput,
): PodStatus {
  const { hostIP, startedAt, previous } = input;
  // What was seen running once is not Pending again, whatever a plugin says between two of its jobs.
  const kept = phase === "Pending" && previous?.phase === "Running" ? "Running" : phase;
  const generation = pod.metadata?.generation;
  return {
    phase: kept,
    ...(generation !== undefined && { observedGeneration: generation }),
    hostIP,
    hostIPs: [{ ip: hostIP }],
    ...(kept !== "Pending" && { podIP: hostIP, podIPs: [{ ip: hostIP }] }),
    startTime: toTime(startedAt),
    conditions: conditions(kept, mains, inits, input),
    ...(inits.length > 0 && { initContainerStatuses: inits }),
    containerStatuses: mains,
  };
}

function conditions(
  phase: Phase,
  mains: ContainerStatus[],
  inits: ContainerStatus[],
  { previous, now }: StatusInput,
): PodCondition[] {
  const over = phase === "Succeeded" || phase === "Failed";
  const initialized = inits.every(({ state, ready }) => state?.terminated?.exitCode === 0 || ready);
  const ready = !over && mains.every((status) => status.ready);
  const notReady = over ? { reason: phase === "Succeeded" ? "PodCompleted" : "PodFailed" } : unreadyWords(mains);
  const verdicts: [string, boolean, { reason?: string; message?: string }][] = [
    ["PodReadyToStartContainers", !over && phase !== "Pending", {}],
    ["Initialized", initialized || phase === "Succeeded", initialized ? {} : { reason: "ContainersNotInitialized" }],
    ["Ready", ready, ready ? {} : notReady],
    ["ContainersReady", ready, ready ? {} : notReady],
    ["PodScheduled", true, {}],
  ];
  return verdicts.map(([type, holds, why]) => {
    const status = holds ? "True" : "False";
    const before = previous?.conditions?.find((c) => c.type === type);
    const since = before?.status === status ? before.lastTransitionTime : undefined;
    return { type, status, ...why, lastTransitionTime: since ?? toTime(now) };
  });
}

function unreadyWords(mains: ContainerStatus[]) {
  const names = mains.filter(({ ready }) => !ready).map(({ name }) => name);
  return { reason: "ContainersNotReady", message: `containers with unready status: [${names.join(" ")}]` };
}
