import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Lease } from "../kube/types.ts";
import { agentAnnotation, agentID, checkLease } from "./leaseGuard.ts";

const now = Date.parse("2026-01-01T00:01:00Z");

function lease(renewTime: string, agent?: string): Lease {
  const annotations = agent === undefined ? {} : { annotations: { [agentAnnotation]: agent } };
  return {
    metadata: { name: "n", ...annotations },
    spec: { holderIdentity: "n", leaseDurationSeconds: 40, renewTime },
  };
}

test.each<[string, Lease]>([
  ["our own, however fresh", lease("2026-01-01T00:00:59.000000Z", "me")],
  ["another's that has run out", lease("2026-01-01T00:00:20.000000Z", "other")],
  ["one that its agent let go of", lease("2026-01-01T00:00:59.000000Z", "")],
  ["one that nobody has renewed yet", { metadata: { name: "n" }, spec: {} }],
])("a Lease is free when it is %s", (_name, value) => {
  expect(() => checkLease(value, "me", now)).not.toThrow();
});

test.each<[string, Lease]>([
  ["another agent renewed it a moment ago", lease("2026-01-01T00:00:59.000000Z", "other")],
  ["a kubelet that knows no agents renewed it", lease("2026-01-01T00:00:30.000000Z")],
  ["another agent's clock is ahead of ours", lease("2026-01-01T01:00:00.000000Z", "other")],
])("a Lease is taken when %s, and the error says what to do", (_name, value) => {
  expect(() => checkLease(value, "me", now)).toThrow(/belongs to another agent.*--node-name/s);
});

test("an agent that comes back to its state directory is the same agent", () => {
  const dir = mkdtempSync(join(tmpdir(), "hostlet-id-"));
  try {
    expect(agentID(dir)).toBe(agentID(dir));
  } finally {
    rmSync(dir, { recursive: true });
  }
});
