import { HostletError } from "../../errors.ts";
import type { Container, Pod } from "../../kube/types.ts";
import type { ContainerSecurity } from "../../runtimes/contract.ts";
import type { AgentRights } from "./agentRights.ts";
import { type SecurityDemand, securityDemand } from "./demand.ts";
import type { FindUser, HostUser } from "./hostUsers.ts";

export interface ResolvedSecurity {
  /** Undefined: as the agent itself. */
  security: ContainerSecurity | undefined;
  /** Who that is on this host, where it is another user than the agent's; without a name where nobody has the number. */
  user?: { uid: number; gid: number; groups: number[]; host: HostUser | undefined };
}

/** Of a user whom the host does not know: nobody's group, as group 0 would open root's files. */
const nogroup = 65534;

/**
 * What a container runs as, for a runtime that is bound to what the agent may (`refusedSecurity` has let it pass).
 * @param ownGroups groups by which the pod's own files are reached (`podGroups`)
 */
export async function resolveSecurity(
  pod: Pod,
  container: Container,
  rights: AgentRights,
  ownGroups: readonly number[],
  findUser: FindUser,
  signal: AbortSignal,
): Promise<ResolvedSecurity> {
  const demand = securityDemand(pod, container);
  const { security, user } = await resolveUser(demand, rights, ownGroups, findUser, signal);
  Object.assign(security, resolveCapabilities(demand, rights));
  if (demand.privileged) security.privileged = true;
  if (demand.readOnlyRootFilesystem) security.readOnlyRootFilesystem = true;
  return { security: Object.keys(security).length > 0 ? security : undefined, ...(user && { user }) };
}

/**
 * @param otherwise `user[:group]`, who it is where the pod names no user: the agent's, or the image's
 * @throws {HostletError} with reason CreateContainerConfigError where runAsNonRoot meets root, in the kubelet's words
 */
export function checkNonRoot(pod: Pod, container: Container, otherwise: string): void {
  const { nonRoot, uid } = securityDemand(pod, container);
  if (!nonRoot) return;
  const [user = ""] = otherwise.split(":");
  let problem: string | undefined;
  if (uid === 0) problem = "container's runAsUser breaks non-root policy";
  else if (uid === undefined && !/^\d+$/.test(user)) {
    problem = `container has runAsNonRoot and image has non-numeric user (${user}), cannot verify user is non-root`;
  } else if (uid === undefined && Number(user) === 0) {
    problem = "container has runAsNonRoot and it would run as root: set runAsUser";
  }
  if (problem === undefined) return;
  const { name, namespace, uid: podUID } = pod.metadata ?? {};
  const message = `${problem} (pod: "${name}_${namespace}(${podUID})", container: ${container.name})`;
  throw new HostletError("CreateContainerFailed", message, { reason: "CreateContainerConfigError" });
}

async function resolveUser(
  demand: SecurityDemand,
  rights: AgentRights,
  ownGroups: readonly number[],
  findUser: FindUser,
  signal: AbortSignal,
): Promise<{ security: ContainerSecurity; user?: NonNullable<ResolvedSecurity["user"]> }> {
  const { uid = rights.uid, supplementalGroups, fsGroup } = demand;
  const other = uid !== rights.uid;
  const host = other ? await findUser(uid, signal) : undefined;
  const gid = demand.gid ?? (other ? (host?.gid ?? nogroup) : rights.gid);
  const inherited = demand.strictGroups ? [] : other ? (host?.groups ?? []) : rights.groups;
  const named = [...supplementalGroups, ...(fsGroup === undefined ? [] : [fsGroup]), ...ownGroups];
  const groups = [...new Set([...inherited, ...named])].filter((group) => group !== gid).sort((a, b) => a - b);
  const before = new Set(rights.groups.filter((group) => group !== gid));
  const sameGroups = groups.length === before.size && groups.every((group) => before.has(group));
  const security: ContainerSecurity = {};
  if (other) security.uid = uid;
  if (gid !== rights.gid || other) security.gid = gid;
  // An ordinary agent may set no groups, and was asked for none that it lacks.
  if (other || (!sameGroups && rights.capabilities.has("SETGID"))) security.groups = groups;
  return { security, ...(other && { user: { uid, gid, groups: [gid, ...groups], host } }) };
}

function resolveCapabilities(demand: SecurityDemand, rights: AgentRights): ContainerSecurity {
  const { capabilities, noNewPrivileges } = demand;
  if (!capabilities) return noNewPrivileges ? { noNewPrivileges } : {};
  const add = capabilities.add.includes("ALL") ? [...rights.capabilities] : capabilities.add;
  // Who can't shrink the bounding set keeps set-uid programs from giving back what was to be dropped.
  const sealed = capabilities.drop.length > 0 && !rights.capabilities.has("SETPCAP");
  if (sealed) return { noNewPrivileges: true, ...(add.length > 0 && { capabilities: { add, drop: [] } }) };
  return { capabilities: { add, drop: capabilities.drop }, ...(noNewPrivileges && { noNewPrivileges }) };
}

/**
 * As it was asked for, for a runtime that grants users and rights by itself: who is left out is the image's.
 * @param ownGroups as with `resolveSecurity`
 */
export function demandedSecurity(
  pod: Pod,
  container: Container,
  ownGroups: readonly number[] = [],
): ContainerSecurity | undefined {
  const { uid, gid, supplementalGroups, fsGroup, capabilities, ...flags } = securityDemand(pod, container);
  const groups = [...supplementalGroups, ...(fsGroup === undefined ? [] : [fsGroup]), ...ownGroups];
  const security: ContainerSecurity = {
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(groups.length > 0 && { groups: [...new Set(groups)] }),
    ...(capabilities && { capabilities }),
    ...(flags.noNewPrivileges && { noNewPrivileges: true }),
    ...(flags.privileged && { privileged: true }),
    ...(flags.readOnlyRootFilesystem && { readOnlyRootFilesystem: true }),
  };
  return Object.keys(security).length > 0 ? security : undefined;
}
