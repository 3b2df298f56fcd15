import { nextRestart } from "./backoff.ts";
import { graceMs, type StopAction, stopFailed, stopPod } from "./stop.ts";
import {
  type Backoff,
  type ContainerView,
  type Ending,
  isInit,
  isRunning,
  isStarted,
  latest,
  type PodView,
} from "./view.ts";

export interface StartAction {
  container: string;
  attempt: number;
  restartCount: number;
  /** The container's back-off once it was restarted; undefined at its first start. */
  backoff?: Backoff;
}

export interface PodActions {
  start: StartAction[];
  /** Steps towards the end of containers, each once. */
  stop: StopAction[];
  /** Containers whose restart waits for its back-off. ms since the epoch, and the whole delay in ms. */
  backingOff: { container: string; until: number; delayMs: number }[];
  /** The pod is to be ended from now on. */
  end?: Ending;
  /** Nothing runs and nothing will: the phase is final. */
  settled: boolean;
  /** When to decide again though nothing happens. ms since the epoch */
  wakeAt?: number;
}

/** Whether the restart policy wants an ended container again. A sidecar is restarted whatever the pod says. */
export function wantsRestart(view: PodView, container: ContainerView): boolean {
  const exit = latest(container)?.exit;
  if (!exit) return false;
  if (container.kind === "sidecar") return true;
  if (container.kind === "ephemeral") return false;
  const policy = view.pod.spec?.restartPolicy ?? "Always";
  // Ended by the node, so that it starts anew, however it took that.
  if (container.failed === "liveness" || container.failed === "startup") return policy !== "Never";
  // An init container that succeeded is done, also under Always.
  if (container.kind === "init") return policy !== "Never" && exit.exitCode !== 0;
  return policy === "Always" || (policy === "OnFailure" && exit.exitCode !== 0);
}

/**
 * Init containers are over: the last one has succeeded, or has started where it is a sidecar; or a main container ran
 * already. The one before it was done when it began.
 */
export function isInitialized(view: PodView): boolean {
  if (view.containers.some((c) => c.kind === "main" && c.attempts.length > 0)) return true;
  const last = view.containers.findLast(isInit);
  return !last || isInitDone(last);
}

/** The next init container may start: this one has succeeded; or, where it is a sidecar, it has started. */
export function isInitDone(container: ContainerView): boolean {
  return container.kind === "sidecar" ? isStarted(container) : latest(container)?.exit?.exitCode === 0;
}

/** What to do about a pod now: the kubelet's computePodActions for what a container runtime without sandboxes needs. */
export function computePodActions(view: PodView): PodActions {
  const actions: PodActions = { start: [], stop: [], backingOff: [], settled: false };
  const wake = (at: number) => {
    actions.wakeAt = Math.min(actions.wakeAt ?? at, at);
  };

  if (view.ending) {
    actions.stop = stopPod(view, view.ending, wake);
    actions.settled = !view.containers.some((c) => c.starting || isRunning(c));
    return actions;
  }

  const finished = { cause: "finished", killAt: view.now + graceMs(view) } as const;
  const initialized = isInitialized(view);
  // Before the deadline: a pod that was over in time has not exceeded it, however late this is asked.
  const mains = view.containers.filter((c) => c.kind === "main");
  const over = (c: ContainerView) => latest(c)?.exit !== undefined && !wantsRestart(view, c);
  const initFailed = (c: ContainerView) => c.kind === "init" && over(c) && latest(c)?.exit?.exitCode !== 0;
  if (mains.every(over) || (!initialized && view.containers.some(initFailed))) {
    actions.end = finished;
    return actions;
  }

  const deadline = view.pod.spec?.activeDeadlineSeconds;
  if (deadline !== undefined) {
    const at = (view.activeSince ?? view.startedAt) + deadline * 1000;
    if (view.now >= at) {
      actions.end = {
        ...finished,
        cause: "deadline",
        reason: "DeadlineExceeded",
        message: "Pod was active on the node longer than the specified deadline",
      };
      return actions;
    }
    wake(at);
  }
  for (const container of view.containers) actions.stop.push(...stopFailed(view, container, wake));
  if (!view.ready) return actions;

  const ephemeral = view.containers.filter((c) => c.kind === "ephemeral");
  const others = initialized
    ? view.containers.filter((c) => c.kind === "main" || c.kind === "sidecar")
    : initContainersInTurn(view);
  for (const container of [...ephemeral, ...others]) {
    if (!over(container)) startIfDue(view, container, actions, wake);
  }
  return actions;
}

/** The init container whose turn it is, and the sidecars before it, which are kept running. */
function initContainersInTurn(view: PodView): ContainerView[] {
  const inits = view.containers.filter(isInit);
  // From the last one that was started: those before it were done, also where nothing is known of them any more.
  const last = inits.findLastIndex((c) => c.attempts.length > 0);
  const turn = last < 0 ? 0 : isInitDone(inits[last]!) ? last + 1 : last;
  return inits.filter((c, index) => index === turn || (index < turn && c.kind === "sidecar"));
}

function startIfDue(view: PodView, container: ContainerView, actions: PodActions, wake: (at: number) => void): void {
  if (container.starting || isRunning(container) || container.problem?.final) return;
  const name = container.spec.name;
  if (container.problem && view.now < container.problem.retryAt) {
    wake(container.problem.retryAt);
    return;
  }
  const attempt = latest(container);
  const number = Math.max(container.asked ?? -1, attempt?.id.attempt ?? -1) + 1;
  if (!attempt?.exit) {
    actions.start.push({ container: name, attempt: number, restartCount: 0 });
    return;
  }
  const endedAt = Math.min(attempt.exit.finishedAt, container.endSeenAt ?? attempt.exit.finishedAt);
  const { startAt, next } = nextRestart(container.backoff, endedAt);
  if (view.now < startAt) {
    actions.backingOff.push({ container: name, until: startAt, delayMs: startAt - endedAt });
    wake(startAt);
    return;
  }
  actions.start.push({
    container: name,
    attempt: number,
    restartCount: attempt.restartCount + 1,
    backoff: next,
  });
}
