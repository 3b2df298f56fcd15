import type { Container, Pod, PodSecurityContext, SecurityContext } from "../../kube/types.ts";

/** What a container asks for, its pod's wishes taken in: the container's own word counts where both speak. */
export interface SecurityDemand {
  /** Undefined: the agent's own user, or the image's. */
  uid?: number;
  gid?: number;
  nonRoot: boolean;
  supplementalGroups: number[];
  /** Only the groups that the pod names, not those that the user has on this host. */
  strictGroups: boolean;
  fsGroup?: number;
  /** Names without `CAP_`, in capitals. Undefined: no word about them. */
  capabilities?: { add: string[]; drop: string[] };
  noNewPrivileges: boolean;
  privileged: boolean;
  readOnlyRootFilesystem: boolean;
}

export function securityDemand(pod: Pod, container: Pick<Container, "securityContext">): SecurityDemand {
  const ofPod: PodSecurityContext = pod.spec?.securityContext ?? {};
  const own: SecurityContext = container.securityContext ?? {};
  const uid = own.runAsUser ?? ofPod.runAsUser;
  const gid = own.runAsGroup ?? ofPod.runAsGroup;
  const { add = [], drop = [] } = own.capabilities ?? {};
  return {
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    nonRoot: own.runAsNonRoot ?? ofPod.runAsNonRoot ?? false,
    supplementalGroups: ofPod.supplementalGroups ?? [],
    strictGroups: ofPod.supplementalGroupsPolicy === "Strict",
    ...(ofPod.fsGroup !== undefined && { fsGroup: ofPod.fsGroup }),
    ...(add.length + drop.length > 0 && { capabilities: { add: add.map(plainName), drop: drop.map(plainName) } }),
    noNewPrivileges: own.allowPrivilegeEscalation === false,
    privileged: own.privileged === true,
    readOnlyRootFilesystem: own.readOnlyRootFilesystem === true,
  };
}

function plainName(capability: string): string {
  return capability.toUpperCase().replace(/^CAP_/, "");
}
