import type { ContainerSecurity } from "../../contract.ts";

/** The user databases of a root filesystem; empty where it has none. */
export interface UserDatabase {
  passwd: string;
  group: string;
}

export interface SandboxUser {
  uid: number;
  gid: number;
  groups: number[];
  home: string;
}

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

/**
 * Who a container's processes are: what the pod says, else the image, else `fallback`. Names, the primary group, the home and the other
 * groups are looked up in the container's own root, as container runtimes do.
 * @param user `user[:group]` of the image
 * @returns a sentence for the pod's author where the image names a user that it does not have
 */
export function sandboxUser(
  security: ContainerSecurity | undefined,
  user: string | undefined,
  database: UserDatabase,
  fallback: { uid: number; gid: number },
): SandboxUser | string {
  const entries = passwdEntries(database.passwd);
  const [userName, groupName] = (user ?? "").split(":", 2) as [string, string?];
  let uid = security?.uid;
  let gid = security?.gid;
  if (uid === undefined && userName !== "") {
    uid = numberOf(userName) ?? entries.find(({ name }) => name === userName)?.uid;
    if (uid === undefined) return `the image's user ${JSON.stringify(userName)} is not in its /etc/passwd`;
    if (groupName) {
      gid ??= numberOf(groupName) ?? groupLines(database.group).find(({ name }) => name === groupName)?.gid;
      if (gid === undefined) return `the image's group ${JSON.stringify(groupName)} is not in its /etc/group`;
    }
  }
  const entry = entries.find((one) => one.uid === (uid ?? fallback.uid));
  const own = uid === undefined ? fallback.gid : (entry?.gid ?? 0);
  uid ??= fallback.uid;
  gid ??= own;
  const inImage = entry
    ? groupLines(database.group)
        .filter(({ members }) => members.includes(entry.name))
        .map((line) => line.gid)
    : [];
  const groups = [...new Set([gid, ...(security?.groups ?? []), ...inImage])].sort((a, b) => a - b);
  return { uid, gid, groups, home: entry?.home || "/" };
}

function numberOf(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

function passwdEntries(text: string): PasswdEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , uid = "", gid = "", , home = ""] = line.split(":");
    const [number, group] = [numberOf(uid), numberOf(gid)];
    return name === "" || number === undefined || group === undefined ? [] : [{ name, uid: number, gid: group, home }];
  });
}

function groupLines(text: string): { name: string; gid: number; members: string[] }[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , gid = "", members = ""] = line.split(":");
    const number = numberOf(gid);
    return name === "" || number === undefined ? [] : [{ name, gid: number, members: members.split(",") }];
  });
}
