import { readFileSync } from "node:fs";

/** SIGKILL to a process of this host and to its descendants, as far as this user may. */
export function killTree(pid: number): void {
  if (pid <= 1) return;
  for (const child of childrenOf(pid)) killTree(child);
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // gone already, or another user's
  }
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text
      .split(" ")
      .filter((part) => part !== "")
      .map(Number);
  } catch {
    return [];
  }
}
