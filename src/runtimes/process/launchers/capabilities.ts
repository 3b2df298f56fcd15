/** By their number in the kernel, without `CAP_`. */
const names = [
  ...["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"],
  ...["LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"],
  ...["SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"],
  ...["SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"],
  ...["MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"],
  "CHECKPOINT_RESTORE",
];

/** What a container may where its pod says nothing: what container runtimes agree on. */
const usual = [
  ...["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP"],
  ...["NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"],
];

/**
 * The capabilities of a container as a mask in hexadecimal. `ALL` counts first, then `add`, then `drop`, as container runtimes have it:
 * `drop: [ALL], add: [CHOWN]` leaves one. A name that is none gives nothing.
 */
export function capabilityMask(demand: { add: string[]; drop: string[] } | undefined, privileged: boolean): string {
  const { add = [], drop = [] } = demand ?? {};
  let has = new Set(privileged || add.includes("ALL") ? names : usual);
  if (drop.includes("ALL")) has = new Set();
  for (const name of add) has.add(name);
  for (const name of drop) has.delete(name);
  let mask = 0n;
  for (const [bit, name] of names.entries()) if (has.has(name)) mask |= 1n << BigInt(bit);
  return mask.toString(16);
}
