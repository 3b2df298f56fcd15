import type { ContainerState, Pod, PodStatus } from "../../kube/types.ts";
import type { Stored } from "../objects.ts";
import { ageColumn, type Column, nameColumn, orNone } from "./column.ts";
import { age } from "./duration.ts";

/** What `kubectl get pods` says of a pod (printPod of pkg/printers/internalversion). */
export interface PodSummary {
  ready: string;
  status: string;
  restarts: string;
}

interface Counted {
  restarts: number;
  /** RFC 3339; "" for never. */
  last: string;
}

export function podSummary(pod: Pod, now: number): PodSummary {
  const status = pod.status ?? {};
  const sidecars = new Set(
    (pod.spec?.initContainers ?? []).filter((c) => c.restartPolicy === "Always").map((c) => c.name),
  );
  const init = initProgress(pod, status, sidecars);
  let { reason } = init;
  let { ready } = init;
  let counted = init.all;
  if (!init.unfinished || conditionTrue(status, "Initialized")) {
    const main = mainContainers(status, reason, ready, init.sidecars);
    reason = main.reason;
    ready = main.ready;
    counted = main.counted;
  }
  const ended = status.phase === "Succeeded" || status.phase === "Failed";
  if (pod.metadata?.deletionTimestamp !== undefined) {
    if (status.reason === "NodeLost") reason = "Unknown";
    else if (!ended) reason = "Terminating";
  }
  const total = (pod.spec?.containers ?? []).length + sidecars.size;
  const { restarts, last } = counted;
  return {
    ready: `${ready}/${total}`,
    status: reason,
    restarts: restarts !== 0 && last !== "" ? `${restarts} (${age(last, now)} ago)` : String(restarts),
  };
}

function initProgress(pod: Pod, status: PodStatus, sidecarNames: Set<string>) {
  const gated = status.conditions?.some((c) => c.type === "PodScheduled" && c.reason === "SchedulingGated");
  let reason = gated ? "SchedulingGated" : status.reason || status.phase || "";
  const all: Counted = { restarts: 0, last: "" };
  const sidecars: Counted = { restarts: 0, last: "" };
  let ready = 0;
  for (const [i, container] of (status.initContainerStatuses ?? []).entries()) {
    const sidecar = sidecarNames.has(container.name);
    for (const counted of sidecar ? [all, sidecars] : [all]) count(counted, container);
    const { terminated, waiting } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecar && container.started) {
      if (container.ready) ready++;
      continue;
    }
    if (terminated) reason = `Init:${ending(terminated)}`;
    else if (waiting?.reason && waiting.reason !== "PodInitializing") reason = `Init:${waiting.reason}`;
    else reason = `Init:${i}/${(pod.spec?.initContainers ?? []).length}`;
    return { reason, ready, all, sidecars, unfinished: true };
  }
  return { reason, ready, all, sidecars, unfinished: false };
}

function mainContainers(status: PodStatus, before: string, readyBefore: number, sidecars: Counted) {
  let reason = before;
  let ready = readyBefore;
  let running = false;
  const counted = { ...sidecars };
  for (const container of (status.containerStatuses ?? []).toReversed()) {
    count(counted, container);
    const { waiting, terminated, running: started } = container.state ?? {};
    if (waiting?.reason) reason = waiting.reason;
    else if (terminated) reason = ending(terminated);
    else if (container.ready && started) {
      running = true;
      ready++;
    }
  }
  if (reason === "Completed" && running) reason = conditionTrue(status, "Ready") ? "Running" : "NotReady";
  return { reason, ready, counted };
}

function count(counted: Counted, container: { restartCount: number; lastState?: ContainerState }): void {
  counted.restarts += container.restartCount;
  const finished = container.lastState?.terminated?.finishedAt ?? "";
  if (finished > counted.last) counted.last = finished;
}

function ending({ reason, signal, exitCode }: NonNullable<ContainerState["terminated"]>): string {
  return reason || (signal ? `Signal:${signal}` : `ExitCode:${exitCode}`);
}

function conditionTrue(status: PodStatus, type: string): boolean {
  return status.conditions?.some((condition) => condition.type === type && condition.status === "True") ?? false;
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return "<none>";
  return `${gates.filter((gate) => conditionTrue(pod.status ?? {}, gate.conditionType)).length}/${gates.length}`;
}

const column = (name: string, priority: 0 | 1, cell: (pod: Pod, now: number) => string): Column => ({
  name,
  type: "string",
  priority,
  cell: (object: Stored, now) => cell(object as Pod, now),
});

export const podColumns: Column[] = [
  nameColumn,
  column("Ready", 0, (pod, now) => podSummary(pod, now).ready),
  column("Status", 0, (pod, now) => podSummary(pod, now).status),
  column("Restarts", 0, (pod, now) => podSummary(pod, now).restarts),
  ageColumn,
  column("IP", 1, (pod) => orNone(pod.status?.podIPs?.[0]?.ip || pod.status?.podIP)),
  column("Node", 1, (pod) => orNone(pod.spec?.nodeName)),
  column("Nominated Node", 1, (pod) => orNone(pod.status?.nominatedNodeName)),
  column("Readiness Gates", 1, readinessGates),
];
