import type { Container, Pod } from "../kube/types.ts";

/** Who the agent is: what a pod may demand of it without being refused. */
export interface AgentIdentity {
  uid: number;
  gid: number;
}

export interface Unsupported {
  /** Demands that can't be met without running the pod with other rights than it asked for. */
  refused: string[];
  /** Fields that have no effect here; the pod runs without them. */
  ignored: string[];
}

/**
 * What a pod asks for that this version does not do. A pod never runs with more or other rights than asked:
 * such a demand refuses it; everything else is named in an Event.
 */
export function unsupportedFields(pod: Pod, agent: AgentIdentity): Unsupported {
  const refused: string[] = [];
  const ignored: string[] = [];
  const spec = pod.spec;
  if (!spec) return { refused, ignored };

  const checkUser = (
    where: string,
    context: { runAsUser?: number; runAsGroup?: number; runAsNonRoot?: boolean } = {},
  ) => {
    if (context.runAsUser !== undefined && context.runAsUser !== agent.uid) {
      refused.push(`${where}.runAsUser ${context.runAsUser}: the node runs its pods as user ${agent.uid}`);
    }
    if (context.runAsGroup !== undefined && context.runAsGroup !== agent.gid) {
      refused.push(`${where}.runAsGroup ${context.runAsGroup}: the node runs its pods as group ${agent.gid}`);
    }
    if (context.runAsNonRoot === true && agent.uid === 0) {
      refused.push(`${where}.runAsNonRoot: the node runs its pods as root`);
    }
  };
  checkUser("spec.securityContext", spec.securityContext);
  if (spec.hostUsers === false) refused.push("spec.hostUsers false: the node has no user namespaces for pods");
  if (spec.shareProcessNamespace) ignored.push("spec.shareProcessNamespace");
  if (spec.runtimeClassName) ignored.push("spec.runtimeClassName");
  if (spec.securityContext?.fsGroup !== undefined) ignored.push("spec.securityContext.fsGroup");
  if (spec.hostAliases?.length) ignored.push("spec.hostAliases");
  if (spec.dnsConfig) ignored.push("spec.dnsConfig");

  const groups: [string, Container[] | undefined][] = [
    ["spec.initContainers", spec.initContainers],
    ["spec.containers", spec.containers],
  ];
  for (const [group, containers] of groups) {
    for (const container of containers ?? []) {
      const where = `${group}[${container.name}]`;
      const security = container.securityContext;
      checkUser(`${where}.securityContext`, security);
      if (security?.privileged) refused.push(`${where}.securityContext.privileged`);
      if (security?.capabilities?.add?.length) refused.push(`${where}.securityContext.capabilities.add`);
      if (security?.capabilities?.drop?.length && agent.uid === 0) {
        refused.push(`${where}.securityContext.capabilities.drop`);
      }
      if (security?.readOnlyRootFilesystem) ignored.push(`${where}.securityContext.readOnlyRootFilesystem`);
      if (security?.allowPrivilegeEscalation === false) {
        ignored.push(`${where}.securityContext.allowPrivilegeEscalation`);
      }
      if (container.resources?.limits) ignored.push(`${where}.resources.limits`);
    }
  }
  return { refused, ignored };
}
