import { toTime } from "../../clock.ts";
import type { ContainerState, ContainerStatus, Pod, PodCondition, PodStatus } from "../../kube/types.ts";
import type { Eviction } from "../../kubelet/eviction.ts";
import type { JobMessage } from "./files.ts";
import type { JobVerdict } from "./states.ts";

/** What is known of a pod and its job. Data only. */
export interface SlurmPodView {
  pod: Pod;
  /** ms since the epoch */
  now: number;
  startedAt: number;
  /** Why there is no job yet. */
  waiting?: { reason: string; message: string };
  /** The node can't run it. */
  refused?: { reason: string; message: string };
  /** It was cancelled before anything of it ran. */
  cancelled?: boolean;
  verdict?: JobVerdict;
  message?: JobMessage;
  evicted?: Eviction;
  /** Conditions as they were last known, for their transition times. */
  previous: PodCondition[];
}

type Over = Extract<JobVerdict, { kind: "over" }>;

/** Pure: the status of a pod whose job waits, runs, or left no last word. */
export function slurmPodStatus(view: SlurmPodView): PodStatus {
  const { message, verdict, refused, evicted } = view;
  if (message?.over)
    return verdict?.kind === "over" && !verdict.byItself ? namedEnd(view, message, verdict) : message.status;
  if (refused) return failed(view, { ...refused, exitCode: 128 });
  if (verdict?.kind === "over") {
    const end = evicted ? { ...verdict, reason: evicted.reason, message: evicted.message } : verdict;
    return failed(view, end);
  }
  if (view.cancelled) {
    const end = evicted ?? { reason: "SlurmJobCancelled", message: "the pod was ended before its job ran" };
    return failed(view, { reason: end.reason, message: end.message, exitCode: 137 });
  }
  if (!message) return waitingStatus(view, view.waiting ?? waitingOf(verdict));
  if (verdict?.kind === "suspended") return suspended(view, message.status, verdict);
  return message.status;
}

function waitingOf(verdict: JobVerdict | undefined): { reason: string; message?: string } {
  return verdict?.kind === "waiting" ? verdict : { reason: "ContainerCreating" };
}

function waitingStatus(view: SlurmPodView, waiting: { reason: string; message?: string }): PodStatus {
  const state: ContainerState = {
    waiting: { reason: waiting.reason, ...(waiting.message !== undefined && { message: waiting.message }) },
  };
  const { inits, mains } = statuses(view.pod, () => state);
  const notReady = { status: "False", reason: waiting.reason, message: waiting.message ?? "" } as const;
  return {
    phase: "Pending",
    startTime: toTime(view.startedAt),
    conditions: conditions(view, {
      PodReadyToStartContainers: { status: "False" },
      Initialized: inits.length > 0 ? { status: "False", reason: "ContainersNotInitialized" } : { status: "True" },
      Ready: notReady,
      ContainersReady: notReady,
      PodScheduled: { status: "True" },
    }),
    ...(inits.length > 0 && { initContainerStatuses: inits }),
    containerStatuses: mains,
  };
}

/** The job is over: what ran did not end by itself. */
function failed(
  view: SlurmPodView,
  end: { exitCode: number; reason: string; message: string; disruption?: string },
): PodStatus {
  const before = view.message?.status;
  const ended = (status: ContainerStatus | undefined, isMain: boolean): ContainerState => {
    if (status?.state?.terminated) return status.state;
    // An init container that never had its turn did not fail.
    if (!isMain && !status?.state?.running) return { waiting: { reason: "PodInitializing" } };
    const startedAt = status?.state?.running?.startedAt;
    return {
      terminated: {
        exitCode: end.exitCode,
        reason: end.reason,
        message: end.message,
        ...(startedAt && { startedAt }),
        finishedAt: toTime(view.now),
        ...(status?.containerID && { containerID: status.containerID }),
      },
    };
  };
  const known = new Map(
    [...(before?.initContainerStatuses ?? []), ...(before?.containerStatuses ?? [])].map((s) => [s.name, s]),
  );
  const { inits, mains } = statuses(view.pod, (name, isMain) => ended(known.get(name), isMain), known);
  const notReady = { status: "False", reason: "PodFailed" } as const;
  const { hostIP, hostIPs, podIP, podIPs } = before ?? {};
  const disruption = view.evicted ? "TerminationByKubelet" : end.disruption;
  return {
    phase: "Failed",
    reason: end.reason,
    message: end.message,
    ...(hostIP && { hostIP }),
    ...(hostIPs && { hostIPs }),
    ...(podIP && { podIP }),
    ...(podIPs && { podIPs }),
    startTime: before?.startTime ?? toTime(view.startedAt),
    conditions: conditions(view, {
      PodReadyToStartContainers: { status: "False" },
      Initialized: { status: "True" },
      Ready: notReady,
      ContainersReady: notReady,
      PodScheduled: { status: "True" },
      ...(disruption && { DisruptionTarget: { status: "True", reason: disruption, message: end.message } }),
    }),
    ...(inits.length > 0 && { initContainerStatuses: inits }),
    containerStatuses: mains,
  };
}

/**
 * The core in the job came to its end in time, but it was Slurm that ended the job, and Slurm knows why. What ended of itself
 * before keeps its own word; what Slurm ended is no success, whatever it made of SIGTERM.
 */
function namedEnd(view: SlurmPodView, message: JobMessage, verdict: Over): PodStatus {
  const since = message.interruptedAt;
  const outOfMemory = verdict.reason === "OOMKilled";
  const rename = (status: ContainerStatus): ContainerStatus => {
    const { terminated } = status.state ?? {};
    if (!terminated) return status;
    const interrupted = since !== undefined && Date.parse(terminated.finishedAt ?? "") + 1000 > since;
    if (!interrupted && !(outOfMemory && terminated.exitCode === 137)) return status;
    const exitCode = terminated.exitCode === 0 ? verdict.exitCode : terminated.exitCode;
    const state = { terminated: { ...terminated, exitCode, reason: verdict.reason, message: verdict.message } };
    return { ...status, state };
  };
  const { status } = message;
  const named = {
    ...status,
    ...(status.containerStatuses && { containerStatuses: status.containerStatuses.map(rename) }),
    ...(status.initContainerStatuses && { initContainerStatuses: status.initContainerStatuses.map(rename) }),
  };
  if (since === undefined) return named;
  const others = (status.conditions ?? []).filter(({ type }) => type !== "DisruptionTarget");
  const disruption: PodCondition[] = verdict.disruption
    ? [{ type: "DisruptionTarget", status: "True", reason: verdict.disruption, lastTransitionTime: toTime(view.now) }]
    : [];
  return {
    ...named,
    phase: "Failed",
    reason: verdict.reason,
    message: verdict.message,
    conditions: [...others, ...disruption],
  };
}

function suspended(view: SlurmPodView, status: PodStatus, verdict: { reason: string; message: string }): PodStatus {
  const changed = new Set(["Ready", "ContainersReady"]);
  return {
    ...status,
    conditions: (status.conditions ?? []).map((condition) =>
      changed.has(condition.type)
        ? {
            ...condition,
            status: "False",
            reason: verdict.reason,
            message: verdict.message,
            lastTransitionTime: transition(view, condition.type, "False"),
          }
        : condition,
    ),
    ...(status.containerStatuses && {
      containerStatuses: status.containerStatuses.map((c) => ({ ...c, ready: false })),
    }),
  };
}

function statuses(
  pod: Pod,
  state: (name: string, isMain: boolean) => ContainerState,
  known = new Map<string, ContainerStatus>(),
): { inits: ContainerStatus[]; mains: ContainerStatus[] } {
  const of = (isMain: boolean) => (container: { name: string; image?: string }) => ({
    name: container.name,
    image: container.image ?? "",
    imageID: "",
    restartCount: 0,
    lastState: {},
    ...known.get(container.name),
    ready: false,
    started: false,
    state: state(container.name, isMain),
  });
  return {
    inits: (pod.spec?.initContainers ?? []).map(of(false)),
    mains: (pod.spec?.containers ?? []).map(of(true)),
  };
}

function conditions(
  view: SlurmPodView,
  verdicts: Record<string, { status: string; reason?: string; message?: string }>,
): PodCondition[] {
  return Object.entries(verdicts).map(([type, { status, reason, message }]) => ({
    type,
    status,
    ...(reason && { reason }),
    ...(message && { message }),
    lastTransitionTime: transition(view, type, status),
  }));
}

function transition({ previous, now }: SlurmPodView, type: string, status: string): string {
  const before = previous.find((condition) => condition.type === type);
  return before?.status === status && before.lastTransitionTime ? before.lastTransitionTime : toTime(now);
}
