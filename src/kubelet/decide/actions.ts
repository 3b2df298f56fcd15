import { nextRestart } from "./backoff.ts";
import { type Backoff, type ContainerView, type Ending, isRunning, latest, type PodView } from "./view.ts";

export interface StartAction {
  container: string;
  attempt: number;
  restartCount: number;
  /** The container's back-off once it was restarted; undefined at its first start. */
  backoff?: Backoff;
}

export interface PodActions {
  start: StartAction[];
  /** Signals to send, each once. */
  stop: { container: string; how: "term" | "kill" }[];
  /** Containers whose restart waits for its back-off. ms since the epoch, and the whole delay in ms. */
  backingOff: { container: string; until: number; delayMs: number }[];
  /** The pod is to be ended from now on. */
  end?: Ending;
  /** Nothing runs and nothing will: the phase is final. */
  settled: boolean;
  /** When to decide again though nothing happens. ms since the epoch */
  wakeAt?: number;
}

/** `spec.terminationGracePeriodSeconds` in ms; Kubernetes' default is 30 s. */
export function graceMs(view: PodView): number {
  return (view.pod.spec?.terminationGracePeriodSeconds ?? 30) * 1000;
}

/** Whether the restart policy wants an ended container again. A sidecar is restarted whatever the pod says. */
export function wantsRestart(view: PodView, container: ContainerView): boolean {
  const exit = latest(container)?.exit;
  if (!exit) return false;
  if (container.kind === "sidecar") return true;
  const policy = view.pod.spec?.restartPolicy ?? "Always";
  // An init container that succeeded is done, also under Always.
  if (container.kind === "init") return policy !== "Never" && exit.exitCode !== 0;
  return policy === "Always" || (policy === "OnFailure" && exit.exitCode !== 0);
}

/** Init containers are over: all have succeeded, or a main container ran already. */
export function isInitialized(view: PodView): boolean {
  if (view.containers.some((c) => c.kind === "main" && c.attempts.length > 0)) return true;
  return view.containers.every(
    (c) =>
      c.kind === "main" ||
      (c.kind === "sidecar" ? c.attempts.length > 0 && isRunning(c) : latest(c)?.exit?.exitCode === 0),
  );
}

/** What to do about a pod now: the kubelet's computePodActions for what a container runtime without sandboxes needs. */
export function computePodActions(view: PodView): PodActions {
  const actions: PodActions = { start: [], stop: [], backingOff: [], settled: false };
  const wake = (at: number) => {
    actions.wakeAt = Math.min(actions.wakeAt ?? at, at);
  };

  if (view.ending) {
    stopInOrder(view, view.ending, actions, wake);
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
    const at = view.startedAt + deadline * 1000;
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
  if (!view.ready) return actions;

  if (!initialized) {
    // Each init container waits for the one before it, sidecars included.
    const next = view.containers.find(
      (c) => !(c.kind === "init" && latest(c)?.exit?.exitCode === 0) && !(c.kind === "sidecar" && isRunning(c)),
    );
    if (next) startIfDue(view, next, actions, wake);
    return actions;
  }
  for (const container of view.containers) {
    if (container.kind === "init" || isRunning(container)) continue;
    if (over(container)) continue;
    startIfDue(view, container, actions, wake);
  }
  return actions;
}

function startIfDue(view: PodView, container: ContainerView, actions: PodActions, wake: (at: number) => void): void {
  if (container.starting || isRunning(container)) return;
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
  const { startAt, next } = nextRestart(container.backoff, attempt.exit.finishedAt);
  if (view.now < startAt) {
    actions.backingOff.push({ container: name, until: startAt, delayMs: startAt - attempt.exit.finishedAt });
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

/** Main and init containers first, all at once; then the sidecars in reverse order, one after another; all in one budget. */
function stopInOrder(view: PodView, ending: Ending, actions: PodActions, wake: (at: number) => void): void {
  const alive = view.containers.filter((c) => c.starting || isRunning(c));
  if (alive.length === 0) {
    actions.settled = true;
    return;
  }
  const due = view.now >= ending.killAt;
  const sidecars = alive.filter((c) => c.kind === "sidecar");
  const others = alive.filter((c) => c.kind !== "sidecar");
  const turn = due ? alive : others.length > 0 ? others : sidecars.slice(-1);
  for (const container of turn) {
    if (!isRunning(container)) continue;
    if (due && container.sent !== "kill") actions.stop.push({ container: container.spec.name, how: "kill" });
    else if (!due && !container.sent) actions.stop.push({ container: container.spec.name, how: "term" });
  }
  if (!due) wake(ending.killAt);
}
