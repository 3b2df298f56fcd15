import type { Container, Pod } from "../../kube/types.ts";
import type { RuntimeContainer } from "../../runtimes/contract.ts";

/**
 * How a container takes part in its pod. A sidecar is an init container with restartPolicy Always; an ephemeral one is
 * added to a pod that runs already, and counts for nothing (`kubectl debug`).
 */
export type ContainerKind = "init" | "sidecar" | "main" | "ephemeral";

/** Why a container could not even be created. It is tried again at `retryAt`. */
export interface ContainerProblem {
  reason: string;
  message: string;
  /** ms since the epoch */
  retryAt: number;
  /** How often in a row. */
  tries: number;
  /** It is not tried again. */
  final?: true;
}

/** The kubelet's crash-loop back-off of one container: how long the next restart waits after the exit before it. */
export interface Backoff {
  delayMs: number;
  /** When it last grew; a quiet time of `backoffResetMs` after it starts all over. */
  updatedAt: number;
}

/** What is known of one container. */
export interface ContainerView {
  spec: Container;
  kind: ContainerKind;
  /** Its starts that are still known, oldest first. */
  attempts: RuntimeContainer[];
  /** A start is under way. */
  starting: boolean;
  /** The highest attempt that the runtime was asked for: a number is never used twice, also where a start failed. */
  asked?: number;
  /** When the latest attempt's end was learnt: a clock that was set back since has not seen the time of its end yet. */
  endSeenAt?: number;
  problem?: ContainerProblem;
  backoff?: Backoff;
  /** postStart of the latest attempt: it counts as started only when that is over. */
  postStart?: "running";
  /** What the startup probe of the latest attempt came to; undefined: nothing yet. */
  startup?: "success";
  /** What the readiness probe of the latest attempt came to; undefined: nothing yet, which is not ready. */
  readiness?: "success" | "failure";
  /** Why the latest attempt has to end though its pod goes on. */
  failed?: ContainerFailure;
  /** How far the end of the latest attempt has come. */
  stop?: ContainerStop;
}

/** What ended one container: a probe that failed as often as it may, or its postStart hook. */
export type ContainerFailure = "startup" | "liveness" | "postStart";

/** The end of one attempt, step by step: preStop, stop signal, SIGKILL. */
export interface ContainerStop {
  /** Of a container that ends alone. ms since the epoch */
  killAt?: number;
  preStop?: "running" | "done";
  /** When the stop signal was sent. ms since the epoch */
  signalledAt?: number;
  killed?: true;
}

/** Why a pod is being ended. */
export interface Ending {
  cause: "deleted" | "deadline" | "finished" | "refused" | "evicted";
  /** The end of the grace period, ms since the epoch: what runs then is killed, at the latest `minimumStopMs` after its signal. */
  killAt: number;
  /** No grace at all (`--force`): everything is killed at once, and no hook runs. */
  force?: true;
  /** `status.reason` and `status.message`, where the cause gives the pod one. */
  reason?: string;
  message?: string;
}

/** Everything that decides about a pod, at one moment. Data only. */
export interface PodView {
  pod: Pod;
  /** ms since the epoch */
  now: number;
  /** `status.startTime`: when this node took the pod in charge. */
  startedAt: number;
  /** What activeDeadlineSeconds are counted from. @default startedAt */
  activeSince?: number;
  /** Volumes are laid. */
  ready: boolean;
  /** Why they are not, for the containers' waiting state. */
  setupProblem?: { reason: string; message: string };
  /** init containers first, then main and ephemeral ones, each group in the order of the manifest */
  containers: ContainerView[];
  ending?: Ending;
  /** Why the resources that the pod asks for since it runs are not given. */
  resizeRefused?: string;
}

/** The latest attempt, where there is one. */
export function latest(container: ContainerView): RuntimeContainer | undefined {
  return container.attempts.at(-1);
}

/** Sidecars are init containers, too. */
export function isInit({ kind }: ContainerView): boolean {
  return kind === "init" || kind === "sidecar";
}

export function isRunning(container: ContainerView): boolean {
  const attempt = latest(container);
  return attempt !== undefined && attempt.exit === undefined;
}

/** Runs, and neither its startup probe nor its postStart hook is still awaited. */
export function isStarted(container: ContainerView): boolean {
  if (!isRunning(container) || container.postStart) return false;
  return container.kind === "init" || !container.spec.startupProbe || container.startup === "success";
}

/** What a Service would send requests to. */
export function isReady(container: ContainerView): boolean {
  if (container.kind === "init") return latest(container)?.exit?.exitCode === 0;
  if (container.kind === "ephemeral") return false;
  return isStarted(container) && (!container.spec.readinessProbe || container.readiness === "success");
}

/** The containers of a pod with their kinds, as `PodView.containers` has them. */
export function containerKinds(pod: Pod): { spec: Container; kind: ContainerKind }[] {
  return [
    ...(pod.spec?.initContainers ?? []).map((spec) => ({
      spec,
      kind: spec.restartPolicy === "Always" ? ("sidecar" as const) : ("init" as const),
    })),
    ...(pod.spec?.containers ?? []).map((spec) => ({ spec, kind: "main" as const })),
    ...(pod.spec?.ephemeralContainers ?? []).map((spec) => ({ spec, kind: "ephemeral" as const })),
  ];
}
