import { type ContainerFailure, type ContainerView, type Ending, isRunning, type PodView } from "./view.ts";

/** The kubelet's: between the stop signal and SIGKILL, whatever preStop or the wait for others has left. */
export const minimumStopMs = 2000;

export interface StopAction {
  container: string;
  how: "preStop" | "signal" | "kill";
  /** Of the Event `Killing`, at the first step. */
  message: string;
  /** Until when the grace period lasts. ms since the epoch */
  killAt: number;
}

/** `spec.terminationGracePeriodSeconds` in ms; Kubernetes' default is 30 s. */
export function graceMs(view: PodView): number {
  return (view.pod.spec?.terminationGracePeriodSeconds ?? 30) * 1000;
}

interface Limits {
  killAt: number;
  force: boolean;
  /** Its stop signal may be sent; preStop does not wait for that. */
  turn: boolean;
  message: string;
}

/** The next step of one running container's end, if its time has come; tells `wake` when to ask again. */
function nextStep(view: PodView, container: ContainerView, limits: Limits, wake: (at: number) => void): StopAction[] {
  const { spec, stop } = container;
  const { killAt, force, message } = limits;
  const step = (how: StopAction["how"]): StopAction[] => [{ container: spec.name, how, message, killAt }];
  if (stop?.killed) return [];
  if (force) return step("kill");
  if (stop?.signalledAt !== undefined) {
    const due = Math.max(killAt, stop.signalledAt + minimumStopMs);
    if (view.now >= due) return step("kill");
    wake(due);
    return [];
  }
  const late = view.now >= killAt;
  if (!late) wake(killAt);
  if (spec.lifecycle?.preStop && stop?.preStop !== "done" && !late) return stop?.preStop ? [] : step("preStop");
  return limits.turn || late ? step("signal") : [];
}

/**
 * Ends a pod: preStop hooks all at once, then the signal to main and init containers, and to the sidecars in reverse order,
 * one after another, when all others have ended; all in one budget.
 */
export function stopPod(view: PodView, ending: Ending, wake: (at: number) => void): StopAction[] {
  const alive = view.containers.filter((c) => c.starting || isRunning(c));
  const sidecars = alive.filter((c) => c.kind === "sidecar");
  const turn = alive.length > sidecars.length ? alive.filter((c) => c.kind !== "sidecar") : sidecars.slice(-1);
  return alive.filter(isRunning).flatMap((container) =>
    nextStep(
      view,
      container,
      {
        killAt: Math.min(ending.killAt, container.stop?.killAt ?? ending.killAt),
        force: ending.force === true,
        turn: turn.includes(container),
        message: `Stopping container ${container.spec.name}`,
      },
      wake,
    ),
  );
}

/** Ends one container that failed; whether it is started again is decided when it has ended. */
export function stopFailed(view: PodView, container: ContainerView, wake: (at: number) => void): StopAction[] {
  const { failed } = container;
  if (!failed || !isRunning(container)) return [];
  const killAt = container.stop?.killAt ?? view.now + failureGraceMs(view, container, failed);
  const message = failureMessage(view, container, failed);
  return nextStep(view, container, { killAt, force: false, turn: true, message }, wake);
}

function failureGraceMs(view: PodView, { spec }: ContainerView, failed: ContainerFailure): number {
  const probe = failed === "startup" ? spec.startupProbe : failed === "liveness" ? spec.livenessProbe : undefined;
  const seconds = probe?.terminationGracePeriodSeconds;
  return seconds === undefined ? graceMs(view) : seconds * 1000;
}

/** In the kubelet's words. */
function failureMessage(view: PodView, { spec, kind }: ContainerView, failed: ContainerFailure): string {
  if (failed === "postStart") return "FailedPostStartHook";
  if (kind === "sidecar") return `Init container ${spec.name} failed ${failed} probe`;
  const restart = view.pod.spec?.restartPolicy === "Never" ? "" : ", will be restarted";
  return `Container ${spec.name} failed ${failed} probe${restart}`;
}
