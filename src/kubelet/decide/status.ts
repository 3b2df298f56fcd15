import { toTime } from "../../clock.ts";
import type {
  ContainerState,
  ContainerStateTerminated,
  ContainerStatus,
  PodCondition,
  PodStatus,
} from "../../kube/types.ts";
import type { RuntimeContainer } from "../../runtimes/contract.ts";
import { isInitialized, type PodActions } from "./actions.ts";
import { computeConditions } from "./conditions.ts";
import { computePhase } from "./phase.ts";
import { type ContainerView, isInit, isReady, isStarted, latest, type PodView } from "./view.ts";

/** The kubelet's limit for the termination messages of all containers of a pod. */
const messageBytesOfPod = 12 * 1024;

export interface StatusInput {
  /** Address of this node; a pod on the host's network has it, too. */
  hostIP: string;
  /** @default the host's */
  podIP?: string;
  /** Conditions as they were last known, for their transition times. */
  previous: PodCondition[];
}

/** The whole status of a pod from what is observed, pure: the same view gives the same status. */
export function computePodStatus(view: PodView, actions: PodActions, input: StatusInput): PodStatus {
  const { settled } = actions;
  const phase = computePhase(view, settled);
  const initialized = isInitialized(view);
  const messageBytes = Math.floor(messageBytesOfPod / Math.max(1, view.containers.length));
  const status = (container: ContainerView) => containerStatus(view, container, actions, initialized, messageBytes);
  const inits = view.containers.filter(isInit).map(status);
  const ephemeral = view.containers.filter((c) => c.kind === "ephemeral").map(status);
  const sidecars = view.containers.filter((c) => c.kind === "sidecar").map(status);
  const mains = view.containers.filter((c) => c.kind === "main").map(status);
  const setUp = view.ready && !settled;
  return {
    phase,
    ...(view.ending?.reason !== undefined && { reason: view.ending.reason }),
    ...(view.ending?.message !== undefined && { message: view.ending.message }),
    ...(view.pod.metadata?.generation !== undefined && { observedGeneration: view.pod.metadata.generation }),
    hostIP: input.hostIP,
    hostIPs: [{ ip: input.hostIP }],
    ...((setUp || view.containers.some((c) => c.attempts.length > 0)) && {
      podIP: input.podIP ?? input.hostIP,
      podIPs: [{ ip: input.podIP ?? input.hostIP }],
    }),
    startTime: toTime(view.startedAt),
    conditions: computeConditions(view, phase, initialized, [...sidecars, ...mains], input.previous),
    ...(inits.length > 0 && { initContainerStatuses: inits }),
    containerStatuses: mains,
    ...(ephemeral.length > 0 && { ephemeralContainerStatuses: ephemeral }),
  };
}

function containerStatus(
  view: PodView,
  container: ContainerView,
  actions: PodActions,
  initialized: boolean,
  messageBytes: number,
): ContainerStatus {
  const current = latest(container);
  const before = container.attempts.at(-2);
  const state = containerState(view, container, actions, initialized);
  if (state.terminated) state.terminated = shortened(state.terminated, messageBytes);
  // While a restart is awaited, the last exit is the last state; otherwise the attempt before is.
  const last = state.waiting && current?.exit ? current : before;
  return {
    name: container.spec.name,
    image: container.spec.image ?? "",
    imageID: current?.imageID ?? "",
    ...(current && { containerID: current.containerID }),
    restartCount: current?.restartCount ?? 0,
    ready: isReady(container),
    ...(container.kind !== "ephemeral" && { started: isStarted(container) }),
    state,
    lastState: last?.exit ? { terminated: shortened(terminated(last), messageBytes) } : {},
    ...(container.spec.lifecycle?.stopSignal && { stopSignal: container.spec.lifecycle.stopSignal }),
  };
}

function containerState(
  view: PodView,
  container: ContainerView,
  actions: PodActions,
  initialized: boolean,
): ContainerState {
  const current = latest(container);
  if (current && !current.exit) return { running: { startedAt: toTime(current.startedAt ?? view.startedAt) } };

  if (actions.settled) {
    if (current) return { terminated: terminated(current) };
    if (!hadItsTurn(view, container, initialized)) return { waiting: { reason: "PodInitializing" } };
    return {
      terminated: {
        exitCode: 137,
        reason: "ContainerStatusUnknown",
        message: container.problem?.message ?? "The container could not be located when the pod was terminated",
      },
    };
  }
  if (container.problem) {
    return { waiting: { reason: container.problem.reason, message: container.problem.message } };
  }
  const backoff = actions.backingOff.find((b) => b.container === container.spec.name);
  if (backoff) {
    const { name, namespace, uid } = view.pod.metadata ?? {};
    const pod = `${name}_${namespace}(${uid})`;
    const wait = goDuration(backoff.delayMs);
    return {
      waiting: {
        reason: "CrashLoopBackOff",
        message: `back-off ${wait} restarting failed container=${container.spec.name} pod=${pod}`,
      },
    };
  }
  if (current) return { terminated: terminated(current) };
  if (view.setupProblem) return { waiting: view.setupProblem };
  const waitsForInit = isInit(container) || !initialized;
  return { waiting: { reason: waitsForInit ? "PodInitializing" : "ContainerCreating" } };
}

/**
 * Whether a container without an end, in a pod that is over, is one whose end nobody knows; otherwise it just never had
 * its turn. As the kubelet's TerminatePod has it (pkg/kubelet/status/status_manager.go): init containers up to the last one that was started, the
 * first one always; main containers once the pod was initialized.
 */
function hadItsTurn(view: PodView, container: ContainerView, initialized: boolean): boolean {
  if (container.kind === "main") return initialized;
  if (container.kind === "ephemeral") return false;
  const inits = view.containers.filter(isInit);
  const lastStarted = inits.findLastIndex((c) => c.attempts.length > 0);
  return inits.indexOf(container) <= Math.max(0, lastStarted);
}

function terminated(attempt: RuntimeContainer): ContainerStateTerminated {
  const exit = attempt.exit!;
  return {
    exitCode: exit.exitCode,
    ...(exit.signal !== undefined && { signal: exit.signal }),
    reason: exit.reason,
    ...(exit.message !== undefined && { message: exit.message }),
    ...(exit.startedAt !== undefined && { startedAt: toTime(exit.startedAt) }),
    finishedAt: toTime(exit.finishedAt),
    containerID: attempt.containerID,
  };
}

/** All containers of a pod share what their messages may take. */
function shortened(state: ContainerStateTerminated, bytes: number): ContainerStateTerminated {
  if (state.message === undefined || Buffer.byteLength(state.message) <= bytes) return state;
  return { ...state, message: Buffer.from(state.message).subarray(0, bytes).toString() };
}

/** 10000 -> `10s`, 160000 -> `2m40s`, as Go prints a duration. */
function goDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}
