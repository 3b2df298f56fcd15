import type { Container, Pod } from "../../kube/types.ts";
import type { RuntimeContainer } from "../../runtimes/contract.ts";

/** How a container takes part in its pod. A sidecar is an init container with restartPolicy Always. */
export type ContainerKind = "init" | "sidecar" | "main";

/** Why a container could not even be created. It is tried again at `retryAt`. */
export interface ContainerProblem {
  reason: string;
  message: string;
  /** ms since the epoch */
  retryAt: number;
  /** How often in a row. */
  tries: number;
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
  /** What the latest attempt was told. */
  sent?: "term" | "kill";
  problem?: ContainerProblem;
  backoff?: Backoff;
}

/** Why a pod is being ended. */
export interface Ending {
  cause: "deleted" | "deadline" | "finished" | "refused" | "evicted";
  /** ms since the epoch: from then on everything is killed. */
  killAt: number;
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
  /** Volumes are laid. */
  ready: boolean;
  /** Why they are not, for the containers' waiting state. */
  setupProblem?: { reason: string; message: string };
  /** init containers first, each group in the order of the manifest */
  containers: ContainerView[];
  ending?: Ending;
}

/** The latest attempt, where there is one. */
export function latest(container: ContainerView): RuntimeContainer | undefined {
  return container.attempts.at(-1);
}

export function isRunning(container: ContainerView): boolean {
  const attempt = latest(container);
  return attempt !== undefined && attempt.exit === undefined;
}

/** The containers of a pod with their kinds, init containers first. */
export function containerKinds(pod: Pod): { spec: Container; kind: ContainerKind }[] {
  return [
    ...(pod.spec?.initContainers ?? []).map((spec) => ({
      spec,
      kind: spec.restartPolicy === "Always" ? ("sidecar" as const) : ("init" as const),
    })),
    ...(pod.spec?.containers ?? []).map((spec) => ({ spec, kind: "main" as const })),
  ];
}
