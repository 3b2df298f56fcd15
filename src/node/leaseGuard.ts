import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HostletError } from "../errors.ts";
import type { Lease } from "../kube/types.ts";

/** On the Lease: which agent renews it. A name can be held by one agent at a time; two would run every pod twice. */
export const agentAnnotation = "hostlet.dev/agent";

/** The same for every agent on this state directory: one that comes back after a kill is not another one. */
export function agentID(stateDir: string): string {
  const file = join(stateDir, "agent-id");
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    const id = randomUUID();
    writeFileSync(file, `${id}\n`, { mode: 0o600 });
    return id;
  }
}

/**
 * Whether another living agent holds the node's name, told by its Lease.
 * @param now ms since the epoch
 * @throws {HostletError} NodeNameTaken
 */
export function checkLease(lease: Lease, ownID: string, now: number): void {
  const holder = lease.metadata?.annotations?.[agentAnnotation];
  if (holder === ownID || holder === "") return;
  const { renewTime, leaseDurationSeconds = 40, holderIdentity } = lease.spec ?? {};
  if (!renewTime || !holderIdentity) return;
  const endsAt = Date.parse(renewTime) + leaseDurationSeconds * 1000;
  if (!(now < endsAt)) return;
  throw new HostletError(
    "NodeNameTaken",
    `node ${lease.metadata?.name} belongs to another agent that is alive (its Lease was renewed at ${renewTime}). ` +
      `Give this node another --node-name, or end that agent and wait ${leaseDurationSeconds} s`,
  );
}
