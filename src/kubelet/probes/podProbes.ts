import type { Clock } from "../../clock.ts";
import type { PodRef, Probe } from "../../kube/types.ts";
import type { ContainerRuntime } from "../../runtimes/contract.ts";
import type { AgentMetrics } from "../../telemetry/agentMetrics.ts";
import { type ContainerView, isRunning, latest, type PodView } from "../decide/view.ts";
import type { PodEvents } from "../podEvents.ts";
import { atLeastOne, type ProbeKind, type ProbeVerdict, probeKinds, probeNames, probeOf } from "./judge.ts";
import type { ProbeOutcome } from "./outcome.ts";
import { runProbe } from "./probe.ts";
import { ProbeWorker } from "./probeWorker.ts";

export interface PodProbesOptions {
  ref: PodRef;
  runtime: ContainerRuntime;
  metrics?: AgentMetrics | undefined;
  clock: Clock;
  events: PodEvents;
  podIP: string;
  /** The containers ran before this agent began: their probes are not all made at once. */
  found: boolean;
  /** A verdict was written into a container's view, and it is news. */
  changed(container: ContainerView, kind: ProbeKind): void;
}

/** The probes of one pod's containers: made while they are to be made, their verdicts written into the containers' views. */
export class PodProbes {
  readonly #options: PodProbesOptions;
  readonly #workers = new Map<string, { attempt: number; worker: ProbeWorker }>();
  /** Attempts that another agent started, by container. */
  readonly #found = new Map<string, number>();
  readonly #any: boolean;

  constructor(options: PodProbesOptions, containers: ContainerView[]) {
    this.#options = options;
    this.#any = containers.some(({ spec }) => probeKinds.some((kind) => probeOf(spec, kind)));
    for (const container of options.found ? containers : []) {
      if (isRunning(container)) this.#found.set(container.spec.name, latest(container)!.id.attempt);
    }
  }

  /** Brings the probes into line with the containers. */
  sync(view: PodView): void {
    if (!this.#any) return;
    for (const container of view.containers) {
      for (const kind of probeKinds) {
        const probe = probeOf(container.spec, kind);
        if (probe) this.#syncOne(view, container, kind, probe);
      }
    }
  }

  /** Idempotent. */
  stop(): void {
    for (const { worker } of this.#workers.values()) worker.stop();
    this.#workers.clear();
  }

  #syncOne(view: PodView, container: ContainerView, kind: ProbeKind, probe: Probe): void {
    const key = `${container.spec.name}/${kind}`;
    const running = this.#workers.get(key);
    const attempt = isProbed(view, container, kind) ? latest(container)!.id.attempt : undefined;
    if (running?.attempt === attempt) return;
    running?.worker.stop();
    this.#workers.delete(key);
    if (attempt !== undefined) this.#workers.set(key, { attempt, worker: this.#begin(view, container, kind, probe) });
  }

  #begin(view: PodView, container: ContainerView, kind: ProbeKind, probe: Probe): ProbeWorker {
    const { runtime, clock, podIP } = this.#options;
    const { id, startedAt = view.now } = latest(container)!;
    const found = this.#found.get(container.spec.name) === id.attempt;
    const firstAt = Math.max(view.now, startedAt + (probe.initialDelaySeconds ?? 0) * 1000);
    return new ProbeWorker({
      probe,
      clock,
      firstAt: found ? firstAt + spread(id.podUID, atLeastOne(probe.periodSeconds, 10) * 1000) : firstAt,
      ask: (signal) => runProbe(probe, { runtime, clock, id, container: container.spec, podIP }, signal),
      asked: (outcome, ms) => this.#tell(container, kind, outcome, ms),
      verdict: (verdict) => this.#take(container, kind, verdict),
    });
  }

  /** In the kubelet's words. */
  #tell(container: ContainerView, kind: ProbeKind, outcome: ProbeOutcome | Error, ms: number): void {
    const { events, metrics, ref } = this.#options;
    const name = probeNames[kind];
    const labels = { container: container.spec.name, pod: ref.name, namespace: ref.namespace, pod_uid: ref.uid };
    metrics?.probed({ probe_type: name, ...labels }, metricResult(outcome), ms / 1000);
    if (outcome instanceof Error) {
      const message = `${name} probe errored and resulted in unknown state: ${outcome.message}`;
      events.emit("Warning", "Unhealthy", message, container);
    } else if (outcome.result === "failure") {
      events.emit("Warning", "Unhealthy", `${name} probe failed: ${outcome.output}`, container);
    } else if (outcome.result === "warning") {
      events.emit("Warning", "ProbeWarning", `${name} probe warning: ${outcome.output}`, container);
    }
  }

  #take(container: ContainerView, kind: ProbeKind, verdict: ProbeVerdict): void {
    if (kind === "readiness") {
      if (container.readiness === verdict) return;
      container.readiness = verdict;
    } else if (verdict === "failure") container.failed = kind;
    else if (kind === "startup") container.startup = "success";
    else return;
    this.#options.changed(container, kind);
  }
}

/** Startup alone at first, then the others; of a pod that ends, only whether it still takes requests. */
function isProbed(view: PodView, container: ContainerView, kind: ProbeKind): boolean {
  if (!isRunning(container) || container.failed || container.kind === "init") return false;
  const starting = container.spec.startupProbe !== undefined && container.startup === undefined;
  if (kind === "startup") return starting && !view.ending;
  return !starting && (kind === "readiness" || !view.ending);
}

function metricResult(outcome: ProbeOutcome | Error): "successful" | "failed" | "unknown" {
  if (outcome instanceof Error) return "unknown";
  return outcome.result === "failure" ? "failed" : "successful";
}

/** A number below `range`, another one for each pod: hundreds of pods that were found again are not probed in one moment. */
function spread(uid: string, range: number): number {
  let hash = 0;
  for (let i = 0; i < uid.length; i++) hash = (Math.imul(hash, 31) + uid.charCodeAt(i)) >>> 0;
  return hash % range;
}
