import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A user of this host, as its name services know it: /etc/passwd, LDAP, ... */
export interface HostUser {
  name: string;
  uid: number;
  gid: number;
  home: string;
  shell: string;
  /** All groups, the primary one too. */
  groups: number[];
}

/** Looks users of this host up. Undefined: there is none of that number. */
export type FindUser = (uid: number, signal: AbortSignal) => Promise<HostUser | undefined>;

/** By getent and id, which ask what the host's programs ask. */
export const findHostUser: FindUser = async (uid, signal) => {
  const entry = await output("getent", ["passwd", String(uid)], signal);
  const user = entry === undefined ? undefined : parsePasswd(entry);
  if (!user) return undefined;
  const groups = (await output("id", ["-G", "--", user.name], signal)) ?? "";
  return { ...user, groups: [...new Set([user.gid, ...groups.trim().split(/\s+/).filter(Boolean).map(Number)])] };
};

export function parsePasswd(line: string): Omit<HostUser, "groups"> | undefined {
  const [name, , uid, gid, , home = "", shell = ""] = line.split("\n", 1)[0]!.split(":");
  if (!name || !/^\d+$/.test(uid ?? "") || !/^\d+$/.test(gid ?? "")) return undefined;
  return { name, uid: Number(uid), gid: Number(gid), home, shell };
}

/** Undefined where it ends with another code than 0: nothing of that name or number. */
async function output(program: string, args: string[], signal: AbortSignal): Promise<string | undefined> {
  try {
    const { stdout } = await run(program, args, { signal, timeout: 10_000, encoding: "utf8" });
    return stdout;
  } catch (error) {
    signal.throwIfAborted();
    if (typeof (error as { code?: unknown }).code === "number") return undefined;
    throw error;
  }
}
