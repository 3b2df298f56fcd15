import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, ownIdentity, type ProcessIdentity } from "./identity.ts";
import { formatRecord, msToNanos, parseRecord, wholeNumber } from "./records.ts";

/** Who decided whether the payload runs: its shim (then it did, or will), or an agent (then it never does). */
export interface Claim extends ProcessIdentity {
  by: "shim" | "agent";
}

/** A record that can't be read counts as the claim of a shim that is gone: it must not be taken for one that lives. */
export function parseClaim(text: string): Claim {
  const fields = parseRecord(text);
  return {
    by: fields.by === "agent" ? "agent" : "shim",
    pid: wholeNumber(fields.pid) ?? 0,
    startTime: fields.starttime ?? "",
    bootID: fields.bootid ?? "",
    pidNamespace: fields.pidns ?? "",
    host: fields.host ?? "",
  };
}

export function readClaim(attemptDir: string): Claim | undefined {
  try {
    return parseClaim(readFileSync(join(attemptDir, "claim"), "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Wins the claim for this agent, or finds that somebody else has it. After `true` no shim starts the payload, ever. */
export function takeClaim(attemptDir: string, now: number): boolean {
  const self = ownIdentity();
  const draft = join(attemptDir, `claim.agent.${self.pid}`);
  const text = formatRecord({
    v: 1,
    by: "agent",
    pid: self.pid,
    starttime: self.startTime,
    bootid: self.bootID,
    pidns: self.pidNamespace,
    host: self.host,
    claimed: msToNanos(now),
  });
  writeFileSync(draft, text, { mode: 0o600 });
  try {
    linkSync(draft, join(attemptDir, "claim"));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

export type ShimState =
  | "alive"
  | "dead"
  /** The host was started anew since: nothing of it lives, and no pid means anything. */
  | "otherBoot"
  /** Of another pid namespace: only its socket can tell. */
  | "unseen";

/** @param alive whether pid and start time name a living process here */
export function judgeShim(claim: Claim, self: ProcessIdentity = ownIdentity(), alive = isAlive): ShimState {
  if (claim.bootID !== self.bootID) return "otherBoot";
  if (claim.pidNamespace !== self.pidNamespace) return "unseen";
  return alive(claim.pid, claim.startTime) ? "alive" : "dead";
}
