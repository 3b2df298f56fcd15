import { matchesNode, preference, untolerated } from "../../kube/scheduling/affinity.ts";
import {
  type Amounts,
  allocatable,
  type HostPort,
  hostPorts,
  podRequests,
  portsCollide,
} from "../../kube/scheduling/requests.ts";
import type { Node, Pod, PodSpec, Taint } from "../../kube/types.ts";

/** A node and what its pods take of it. */
export interface NodeState {
  node: Node;
  used: Amounts;
  pods: number;
  ports: readonly HostPort[];
}

export type Decision = { node: string } | { message: string };

/** Where a pod goes, or why it goes nowhere, in kube-scheduler's words. Pure. */
export function decide(pod: Pod, states: readonly NodeState[]): Decision {
  if (states.length === 0) return { message: "no nodes available to schedule pods" };
  const reasons = new Map<string, number>();
  let best: { name: string; score: number; pods: number } | undefined;
  const ask = { pod, requests: podRequests(pod), ports: hostPorts(pod) };
  for (const state of states) {
    const against = objections(ask, state);
    for (const reason of against) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    if (against.length > 0) continue;
    const name = state.node.metadata?.name ?? "";
    const score = preference(pod.spec ?? { containers: [] }, state.node);
    if (!best || score > best.score || (score === best.score && state.pods < best.pods)) {
      best = { name, score, pods: state.pods };
    }
  }
  if (best) return { node: best.name };
  const counted = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort();
  return { message: `0/${states.length} nodes are available: ${counted.join(", ")}.` };
}

interface Ask {
  pod: Pod;
  requests: Amounts;
  ports: readonly HostPort[];
}

/** Why not this node: the reasons of the first filter that says no, in kube-scheduler's order of filters. */
function objections(ask: Ask, state: NodeState): string[] {
  const spec: PodSpec = ask.pod.spec ?? { containers: [] };
  const { node } = state;
  const cordoned: Taint = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };
  if (node.spec?.unschedulable && untolerated(spec, [cordoned])) return ["node(s) were unschedulable"];
  const taint = untolerated(spec, [...(node.spec?.taints ?? []), ...readiness(node)]);
  if (taint) return ["node(s) had untolerated taint(s)"];
  if (!matchesNode(spec, node)) return ["node(s) didn't match Pod's node affinity/selector"];
  if (ask.ports.some((port) => state.ports.some((other) => portsCollide(port, other)))) {
    return ["node(s) didn't have free ports for the requested pod ports"];
  }
  return shortages(ask, state);
}

/** The taint that the node controller would set; there is none here, so the condition is read instead. */
function readiness(node: Node): Taint[] {
  const ready = node.status?.conditions?.find((condition) => condition.type === "Ready");
  if (ready?.status === "True") return [];
  const key = ready?.status === "Unknown" ? "node.kubernetes.io/unreachable" : "node.kubernetes.io/not-ready";
  return [{ key, effect: "NoSchedule" }];
}

function shortages(ask: Ask, state: NodeState): string[] {
  const capacity = allocatable(state.node.status?.allocatable);
  const reasons: string[] = [];
  if (state.pods + 1 > (capacity.get("pods") ?? 0) / 1000) reasons.push("Too many pods");
  for (const [name, amount] of ask.requests) {
    if (amount > 0 && amount > (capacity.get(name) ?? 0) - (state.used.get(name) ?? 0)) {
      reasons.push(`Insufficient ${name}`);
    }
  }
  return reasons;
}
