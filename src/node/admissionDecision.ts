import { matchesNode, tolerates } from "../kube/scheduling/affinity.ts";
import { type Amounts, type HostPort, hostPorts, podRequests, portsCollide } from "../kube/scheduling/requests.ts";
import type { Node, Pod } from "../kube/types.ts";

/** What a node has, and what its pods take of it. Amounts in thousandths. */
export interface AdmissionState {
  nodeName: string;
  /** Undefined before it was first seen: its labels and taints are not judged then. */
  node: Node | undefined;
  capacity: Amounts;
  used: Amounts;
  pods: number;
  ports: readonly HostPort[];
}

/** Why a pod is not taken, in the kubelet's words: reason and message of its status. */
export interface Refusal {
  reason: string;
  message: string;
}

/**
 * Whether the node can take a pod that was bound to it: a scheduler may have been wrong, and who sets `nodeName` asks none. The
 * checks, their order and their words are the kubelet's. Undefined: it can.
 */
export function decideAdmission(pod: Pod, state: AdmissionState): Refusal | undefined {
  return wrongSystem(pod) ?? shortage(pod, state) ?? misplaced(pod, state);
}

function wrongSystem({ spec }: Pod): Refusal | undefined {
  if (spec?.os && spec.os.name !== "linux") {
    return { reason: "PodOSNotSupported", message: "Failed to admit pod as the OS field doesn't match node OS" };
  }
  const selected = spec?.nodeSelector?.["kubernetes.io/os"];
  if (selected === undefined || selected === "linux") return undefined;
  return {
    reason: "PodOSSelectorNodeLabelDoesNotMatch",
    message: "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
  };
}

function shortage(pod: Pod, { capacity, used, pods }: AdmissionState): Refusal | undefined {
  const mostPods = (capacity.get("pods") ?? 0) / 1000;
  if (pods + 1 > mostPods) return outOf("pods", 1, pods, mostPods);
  for (const [name, amount] of podRequests(pod)) {
    if (amount <= 0) continue;
    const has = capacity.get(name);
    // Somebody else gives them out, a scheduler extender for one: the kubelet leaves them aside, too.
    if (has === undefined && isExtended(name)) continue;
    const taken = used.get(name) ?? 0;
    if (amount <= (has ?? 0) - taken) continue;
    const unit = name === "cpu" ? 1 : 1000;
    const shown = (value: number) => Math.ceil(value / unit);
    return outOf(name, shown(amount), shown(taken), shown(has ?? 0));
  }
  return undefined;
}

/** Resources with a domain that is not Kubernetes' own. */
function isExtended(name: string): boolean {
  return name.includes("/") && !/(^|\.)kubernetes\.io\//.test(name);
}

/** cpu is counted in thousandths there. */
function outOf(resource: string, requested: number, used: number, capacity: number): Refusal {
  return {
    reason: `OutOf${resource}`,
    message: `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
  };
}

function misplaced(pod: Pod, { node, nodeName, ports }: AdmissionState): Refusal | undefined {
  const spec = pod.spec;
  if (!spec) return undefined;
  if (node && !matchesNode(spec, node))
    return failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
  if (spec.nodeName !== undefined && spec.nodeName !== nodeName) {
    return failed("NodeName", "node(s) didn't match the requested node name");
  }
  if (hostPorts(pod).some((port) => ports.some((other) => portsCollide(port, other)))) {
    return failed("NodePorts", "node(s) didn't have free ports for the requested pod ports");
  }
  const taint = (node?.spec?.taints ?? []).find(
    ({ effect, ...rest }) =>
      effect === "NoExecute" &&
      !(spec.tolerations ?? []).some((toleration) => tolerates(toleration, { effect, ...rest })),
  );
  // A static pod belongs to its node, whatever happens to that.
  if (taint && !isStatic(pod)) {
    return failed("TaintToleration", "node(s) had taints that the pod didn't tolerate");
  }
  return undefined;
}

function failed(predicate: string, why: string): Refusal {
  return { reason: predicate, message: `Predicate ${predicate} failed: ${why}` };
}

/** From a file of this node, not from the API server. */
export function isStatic(pod: Pod): boolean {
  const source = pod.metadata?.annotations?.["kubernetes.io/config.source"];
  return source !== undefined && source !== "api";
}
