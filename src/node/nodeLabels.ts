/** Who the agent is for the API server: `node` is system:node:<name> under NodeRestriction; `other` has what RBAC gives it. */
export type AgentIdentityKind = "node" | "other";

/** Labels of Kubernetes' own domains that a kubelet may set on its Node (pkg/kubelet/apis/well_known_labels.go). */
const kubeletLabels = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/instance-type",
  "node.kubernetes.io/instance-type",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
]);
const kubeletDomains = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/** Whether NodeRestriction lets a node set this label on itself. */
export function nodeMaySet(label: string): boolean {
  const domain = label.includes("/") ? label.slice(0, label.indexOf("/")) : "";
  const within = (parent: string) => domain === parent || domain.endsWith(`.${parent}`);
  if (!within("kubernetes.io") && !within("k8s.io")) return true;
  return kubeletLabels.has(label) || kubeletDomains.some(within);
}

export interface LabelPlan {
  /** To be set by this agent. */
  own: Record<string, string>;
  /** For an administrator, who may: `kubectl label node NAME a=b`. */
  reserved: Record<string, string>;
}

export function planLabels(labels: Record<string, string>, identity: AgentIdentityKind): LabelPlan {
  const plan: LabelPlan = { own: {}, reserved: {} };
  for (const [name, value] of Object.entries(labels)) {
    plan[identity === "other" || nodeMaySet(name) ? "own" : "reserved"][name] = value;
  }
  return plan;
}
