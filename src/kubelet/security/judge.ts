import type { Container, Pod, SecurityContext } from "../../kube/types.ts";
import { type AgentRights, isCapability } from "./agentRights.ts";
import { securityDemand } from "./demand.ts";

/** What is asked for that this agent may not give, a sentence each: a pod runs as it asked, or not at all. */
export function refusedSecurity(pod: Pod, where: string, container: Container, rights: AgentRights): string[] {
  const refused: string[] = [];
  const own: SecurityContext = container.securityContext ?? {};
  const demand = securityDemand(pod, container);
  const place = placeOf(where, own);
  const mayUsers = rights.capabilities.has("SETUID") && rights.capabilities.has("SETGID");
  const { uid, gid } = demand;

  if (uid !== undefined && uid !== rights.uid && !mayUsers) {
    refused.push(`${place("runAsUser")} ${uid}: the node runs its pods as user ${rights.uid}`);
  }
  if (gid !== undefined && gid !== rights.gid && !rights.capabilities.has("SETGID")) {
    refused.push(`${place("runAsGroup")} ${gid}: the node runs its pods as group ${rights.gid}`);
  }
  if (!rights.capabilities.has("SETGID")) refused.push(...refusedGroups(demand, rights));

  if (demand.privileged && rights.uid !== 0) {
    refused.push(`${place("privileged")}: the node is not root, but user ${rights.uid}`);
  }
  for (const name of demand.capabilities?.add ?? []) {
    const field = `${where}.securityContext.capabilities.add ${name}`;
    if (name === "ALL") {
      if (rights.uid !== 0) refused.push(`${field}: the node is not root, but user ${rights.uid}`);
    } else if (!isCapability(name)) refused.push(`${field}: there is no such capability`);
    else if (!rights.capabilities.has(name)) refused.push(`${field}: the node does not have it itself`);
  }
  for (const name of demand.capabilities?.drop ?? []) {
    if (name === "ALL" || isCapability(name)) continue;
    refused.push(`${where}.securityContext.capabilities.drop ${name}: there is no such capability`);
  }
  return refused;
}

/** Where a field stands that counts for a container: in its own securityContext, or else in its pod's. */
function placeOf(where: string, own: SecurityContext): (field: keyof SecurityContext) => string {
  return (field) => (own[field] === undefined ? `spec.securityContext.${field}` : `${where}.securityContext.${field}`);
}

function refusedGroups(demand: ReturnType<typeof securityDemand>, rights: AgentRights): string[] {
  const refused: string[] = [];
  const has = new Set([rights.gid, ...rights.groups]);
  const missing = demand.supplementalGroups.filter((group) => !has.has(group));
  const ours = `the node's groups are ${[...has].join(", ")}, and it may not set others`;
  if (missing.length > 0) refused.push(`spec.securityContext.supplementalGroups ${missing.join(", ")}: ${ours}`);
  if (demand.fsGroup !== undefined && !has.has(demand.fsGroup)) {
    refused.push(`spec.securityContext.fsGroup ${demand.fsGroup}: ${ours}`);
  }
  const named = new Set([rights.gid, demand.fsGroup, ...demand.supplementalGroups]);
  if (demand.strictGroups && rights.groups.some((group) => !named.has(group))) {
    refused.push(`spec.securityContext.supplementalGroupsPolicy Strict: ${ours}`);
  }
  return refused;
}

/**
 * A named profile is a demand for that very filter. `RuntimeDefault` is whatever the runtime has, which is none here; that
 * is said in an Event (`unsupportedFields`).
 */
export function refusedProfiles(pod: Pod, where: string, container: Container, rights: AgentRights): string[] {
  const refused: string[] = [];
  const own: SecurityContext = container.securityContext ?? {};
  const place = placeOf(where, own);
  const ofPod = pod.spec?.securityContext ?? {};
  const seccomp = own.seccompProfile ?? ofPod.seccompProfile;
  if (seccomp?.type === "Localhost") {
    refused.push(`${place("seccompProfile")} Localhost: the node loads no seccomp filters`);
  }
  const appArmor = own.appArmorProfile ?? ofPod.appArmorProfile;
  if (appArmor?.type === "Localhost") {
    refused.push(`${place("appArmorProfile")} Localhost: the node sets no AppArmor profiles`);
  }
  if (rights.selinux && (own.seLinuxOptions ?? ofPod.seLinuxOptions)) {
    refused.push(`${place("seLinuxOptions")}: the node sets no SELinux labels, and this host enforces them`);
  }
  return refused;
}
