import { existsSync, readFileSync } from "node:fs";

/** Who the agent is and what it may: what its pods can be given, and no more. */
export interface AgentRights {
  uid: number;
  gid: number;
  /** Supplementary ones. */
  groups: readonly number[];
  /** Capabilities that a program it starts can have, without `CAP_`. */
  capabilities: ReadonlySet<string>;
  /** The host enforces SELinux contexts. */
  selinux: boolean;
}

/** By their number in the kernel. */
const names = [
  ...["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"],
  ...["LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"],
  ...["SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"],
  ...["SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"],
  ...["MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"],
  "CHECKPOINT_RESTORE",
];

/** Whether there is such a capability at all. */
export function isCapability(name: string): boolean {
  return names.includes(name);
}

/**
 * Root passes its bounding set on over an execve, everybody else only the ambient capabilities.
 * @param status text of /proc/PID/status
 */
export function parseRights(status: string, uid: number): { capabilities: Set<string>; groups: number[] } {
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1]?.trim() ?? "";
  const mask = (name: string) => BigInt(`0x${field(name) || "0"}`);
  const passedOn = uid === 0 ? mask("CapEff") & mask("CapBnd") : mask("CapAmb");
  const capabilities = names.filter((_name, bit) => (passedOn >> BigInt(bit)) & 1n);
  const groups = field("Groups").split(/\s+/).filter(Boolean).map(Number);
  return { capabilities: new Set(capabilities), groups };
}

/** Of this process. */
export function readAgentRights(): AgentRights {
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  const rights = parseRights(readFileSync("/proc/self/status", "utf8"), uid);
  return { uid, gid, ...rights, selinux: existsSync("/sys/fs/selinux/enforce") };
}
