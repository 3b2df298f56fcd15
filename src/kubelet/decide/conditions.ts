import { toTime } from "../../clock.ts";
import type { ContainerStatus, PodCondition } from "../../kube/types.ts";
import { isInitDone } from "./actions.ts";
import type { PodPhase } from "./phase.ts";
import { isInit, isRunning, type PodView } from "./view.ts";

/** The conditions that a kubelet owns; all others on a pod are somebody else's. */
export const ownedConditions = [
  "PodReadyToStartContainers",
  "Initialized",
  "Ready",
  "ContainersReady",
  "PodScheduled",
] as const;

interface Verdict {
  status: boolean;
  reason?: string;
  message?: string;
}

/**
 * The kubelet's conditions, with the transition time of `previous` where the status is the same.
 * @param statuses of the sidecars and the main containers: those that have to be ready
 */
export function computeConditions(
  view: PodView,
  phase: PodPhase,
  initialized: boolean,
  statuses: ContainerStatus[],
  previous: PodCondition[],
): PodCondition[] {
  const containersReady = containersReadyVerdict(phase, initialized, statuses);
  const verdicts: Record<(typeof ownedConditions)[number], Verdict> = {
    // A pod in which something runs is set up, also while it ends, or while a new agent lays its volumes again.
    PodReadyToStartContainers: { status: view.containers.some(isRunning) || (view.ready && !view.ending) },
    Initialized: initializedVerdict(view, phase, initialized),
    Ready: readyVerdict(view, containersReady),
    ContainersReady: containersReady,
    PodScheduled: { status: true },
  };
  const generation = view.pod.metadata?.generation;
  const owned: [string, Verdict][] = ownedConditions.map((type) => [type, verdicts[type]]);
  // The kubelet's word for a pod that the node had to end: a Job's podFailurePolicy can tell it from a failure.
  if (view.ending?.cause === "evicted") {
    const { message } = view.ending;
    owned.push(["DisruptionTarget", { status: true, reason: "TerminationByKubelet", ...(message && { message }) }]);
  }
  // As a kubelet says it that can't: what the pod asks for now is told to be out of reach, and it runs on with what it has.
  if (view.resizeRefused !== undefined) {
    owned.push(["PodResizePending", { status: true, reason: "Infeasible", message: view.resizeRefused }]);
  } else if (previous.some(({ type }) => type === "PodResizePending")) {
    // A patch keeps what it does not name.
    owned.push(["PodResizePending", { status: false }]);
  }
  return owned.map(([type, { status, reason, message }]) => {
    const before = previous.find((c) => c.type === type);
    const value = status ? "True" : "False";
    return {
      type,
      status: value,
      ...(reason !== undefined && { reason }),
      ...(message !== undefined && { message }),
      ...(generation !== undefined && { observedGeneration: generation }),
      lastTransitionTime:
        before?.status === value && before.lastTransitionTime ? before.lastTransitionTime : toTime(view.now),
    };
  });
}

function initializedVerdict(view: PodView, phase: PodPhase, initialized: boolean): Verdict {
  if (phase === "Succeeded") return { status: true, reason: "PodCompleted" };
  if (initialized) return { status: true };
  const names = view.containers.filter((c) => isInit(c) && !isInitDone(c)).map((c) => c.spec.name);
  return {
    status: false,
    reason: "ContainersNotInitialized",
    message: `containers with incomplete status: [${names.join(" ")}]`,
  };
}

function containersReadyVerdict(phase: PodPhase, initialized: boolean, statuses: ContainerStatus[]): Verdict {
  if (phase === "Succeeded") return { status: false, reason: "PodCompleted" };
  if (phase === "Failed") return { status: false, reason: "PodFailed" };
  const unready = statuses.filter((s) => !s.ready).map((s) => s.name);
  if (unready.length === 0 && initialized) return { status: true };
  return {
    status: false,
    reason: "ContainersNotReady",
    message: `containers with unready status: [${unready.join(" ")}]`,
  };
}

/** Ready needs the readiness gates, too: conditions that others write on the pod. */
function readyVerdict(view: PodView, containersReady: Verdict): Verdict {
  if (!containersReady.status) return containersReady;
  const conditions = view.pod.status?.conditions ?? [];
  const problems: string[] = [];
  for (const { conditionType } of view.pod.spec?.readinessGates ?? []) {
    const gate = conditions.find((c) => c.type === conditionType);
    if (!gate) problems.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`);
    else if (gate.status !== "True") {
      problems.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${gate.status}`);
    }
  }
  if (problems.length === 0) return { status: true };
  return { status: false, reason: "ReadinessGatesNotReady", message: problems.join(", ") };
}
