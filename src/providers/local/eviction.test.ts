import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Pod } from "../../kube/types.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { turns, until } from "../../testing/turns.ts";
import { FakeNode, makePod } from "./testing/fakeNode.ts";

let clock: ManualClock;
let node: FakeNode;
const why = { reason: "Terminated", message: "The node's walltime ends", gracePeriodSeconds: 10 };

beforeEach(async () => {
  clock = new ManualClock();
  node = new FakeNode(clock);
  await node.provider.recover();
});
afterEach(async () => {
  await node.dispose();
  expect(clock.pending).toBe(0);
});

async function running(): Promise<Pod> {
  const pod = makePod();
  node.provider.create(pod);
  await until(() => node.said(pod) === "Running main=running");
  return pod;
}
const uid = (pod: Pod) => pod.metadata?.uid ?? "";
const last = (pod: Pod) => node.updatesOf(pod).at(-1)?.status;

test("an evicted pod is asked to end, is Failed with the node's reason, and stays until its object is deleted", async () => {
  const pod = await running();
  node.provider.evict(uid(pod), why);
  await until(() => node.said(pod) === "Failed main=exit 143");
  expect(last(pod)).toMatchObject({ reason: "Terminated", message: "The node's walltime ends" });
  expect(last(pod)?.conditions).toContainEqual(
    expect.objectContaining({ type: "DisruptionTarget", status: "True", reason: "TerminationByKubelet" }),
  );
  expect(node.host.signals).toEqual(["main#0 15"]);
  expect(node.provider.list()).toHaveLength(1);
  node.provider.delete(pod, 30);
  await until(() => node.isGone(pod));
});

test("an evicted pod that is deaf is killed after the eviction's grace period", async () => {
  node.host.deaf.add("main");
  const pod = await running();
  node.provider.evict(uid(pod), why);
  await until(() => node.host.signals.length === 1);
  clock.advance(10_000);
  await until(() => node.said(pod) === "Failed main=exit 137");
});

test("that a pod was evicted is not forgotten over a restart of the agent, in which it ends with 0", async () => {
  node.host.deaf.add("main");
  const pod = await running();
  node.provider.evict(uid(pod), why);
  await until(() => node.host.signals.length === 1);
  await node.provider.stop();
  node.host.exit("main", 0);
  await node.restart();
  node.provider.update(pod);
  await until(() => node.said(pod) === "Failed main=exit 0");
  expect(last(pod)?.reason).toBe("Terminated");
  expect(last(pod)?.conditions?.map((c) => c.type)).toContain("DisruptionTarget");
});

test("evicting a pod that is deleted, that is over or that nobody knows changes nothing", async () => {
  const over = makePod({ restartPolicy: "Never", containers: [{ name: "main", command: ["exit", "0"] }] });
  node.provider.create(over);
  await until(() => node.said(over) === "Succeeded main=exit 0");
  node.host.deaf.add("main");
  const deleted = await running();
  node.provider.delete(deleted, 30);
  await until(() => node.host.signals.length === 1);
  for (const one of [uid(over), uid(deleted), "unknown"]) node.provider.evict(one, why);
  await turns();
  expect(node.said(over)).toBe("Succeeded main=exit 0");
  node.host.exit("main", 0);
  await until(() => node.isGone(deleted));
  expect(last(deleted)?.reason).toBeUndefined();
});

test("a record that can't be replaced does not keep a pod from being evicted", async () => {
  const pod = await running();
  mkdirSync(join(node.dir(pod), ".pod.json.tmp"));
  node.provider.evict(uid(pod), why);
  await until(() => node.said(pod) === "Failed main=exit 143");
});
