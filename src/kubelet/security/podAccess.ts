import { createHash } from "node:crypto";
import { chmodSync, chownSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { HostletError } from "../../errors.ts";
import type { Container, Pod } from "../../kube/types.ts";
import type { PodPaths } from "../podFiles.ts";
import type { AgentRights } from "./agentRights.ts";
import { securityDemand } from "./demand.ts";

/**
 * How the users of a pod come to its files. The pod's directory is the agent's, and closed to others; a pod with containers of
 * other users gets a group of its own, which may pass through, and which only its containers are in.
 */
export interface PodAccess {
  /** Undefined: every container runs as the agent's user. */
  gid: number | undefined;
  /** `spec.securityContext.fsGroup`, the group of what the pod's volumes hold. */
  fsGroup: number | undefined;
  /** The group that may read a secret volume: of the containers that mount it. */
  secretGroup(volume: string): number | undefined;
  /** The groups of this kind that a container needs. */
  groupsOf(container: Container): number[];
}

/** 2^28 numbers from here on are given to nobody: systemd's list of ranges has them as unused. */
const firstGroup = 0x7000_0000;

/** A group number for a pod, or for something in it. Nothing is registered anywhere: a number is all that the kernel needs. */
function groupNumber(key: string): number {
  return firstGroup + (createHash("sha256").update(key).digest().readUInt32BE(0) & 0x0fff_ffff);
}

/** @param rights of the agent, whose files the pod's are; one that may not give files to groups has users of its own only */
export function podAccess(pod: Pod, rights: Pick<AgentRights, "uid" | "gid" | "groups" | "capabilities">): PodAccess {
  const mayGive = rights.capabilities.has("CHOWN") && rights.capabilities.has("SETGID");
  const { initContainers = [], containers = [], securityContext } = pod.spec ?? {};
  const foreign = [...initContainers, ...containers].filter((container) => {
    const { uid = rights.uid } = securityDemand(pod, container);
    return mayGive && uid !== rights.uid;
  });
  const uid = pod.metadata?.uid ?? "";
  const gid = foreign.length > 0 ? groupNumber(uid) : undefined;
  const asked = securityContext?.fsGroup;
  const mayHave = asked !== undefined && (mayGive || asked === rights.gid || rights.groups.includes(asked));
  const fsGroup = mayHave ? asked : undefined;
  const mounts = (container: Container, volume: string) =>
    container.volumeMounts?.some((mount) => mount.name === volume) ?? false;
  const secretGroup = (volume: string) => {
    if (fsGroup !== undefined || gid === undefined) return fsGroup;
    return foreign.every((container) => mounts(container, volume)) ? gid : groupNumber(`${uid}/${volume}`);
  };
  return {
    gid,
    fsGroup,
    secretGroup,
    groupsOf(container) {
      if (gid === undefined || !foreign.includes(container)) return [];
      const volumes = (pod.spec?.volumes ?? []).map(({ name }) => name).filter((name) => mounts(container, name));
      return [...new Set([gid, ...volumes.map((name) => secretGroup(name) ?? gid)])];
    },
  };
}

/** Lets the pod's own group through to its directory. The names of other pods' stay unreadable, and their directories closed. */
export function openPodDirectory({ dir }: PodPaths, { gid }: PodAccess): void {
  if (gid === undefined) return;
  const podsRoot = dirname(dir);
  for (const ours of [dirname(podsRoot), podsRoot]) {
    const mode = statSync(ours).mode & 0o7777;
    if (!(mode & 0o001)) chmodSync(ours, mode | 0o011);
  }
  chownSync(dir, -1, gid);
  chmodSync(dir, 0o710);
}

/**
 * @param user with all of its groups
 * @throws {HostletError} PodInvalid where a directory above the pod's is closed to the user; it isn't hostlet's to open
 */
export function checkReachable(paths: string[], user: { uid: number; groups: readonly number[] }): void {
  for (const path of paths) {
    for (let dir = path; ; dir = dirname(dir)) {
      const { uid, gid, mode } = statSync(dir);
      const bits = uid === user.uid ? mode >> 6 : user.groups.includes(gid) ? mode >> 3 : mode;
      if (!(bits & 1)) {
        const message = `user ${user.uid} can't reach the pod's files: ${dir} is closed to it. Give the node a --state-dir and a --pods-dir that it can reach, such as /var/lib/hostlet`;
        throw new HostletError("PodInvalid", message, { reason: "UnsupportedSecurityContext" });
      }
      if (dir === dirname(dir)) break;
    }
  }
}
