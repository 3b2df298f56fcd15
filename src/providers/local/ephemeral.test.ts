import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EphemeralContainer, Pod } from "../../kube/types.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { turns, until } from "../../testing/turns.ts";
import { FakeNode, makePod } from "./testing/fakeNode.ts";

let clock: ManualClock;
let node: FakeNode;

beforeEach(async () => {
  clock = new ManualClock();
  node = new FakeNode(clock);
  await node.provider.recover();
});
afterEach(async () => {
  await node.dispose();
  expect(clock.pending).toBe(0);
});

const debugged = (pod: Pod, ...ephemeralContainers: EphemeralContainer[]): Pod => ({
  ...pod,
  spec: { ...pod.spec!, ephemeralContainers },
});
const statusOf = (pod: Pod) => node.provider.get(pod.metadata!.uid!)?.ephemeralContainerStatuses?.[0];

async function running(): Promise<Pod> {
  const pod = makePod();
  node.provider.create(pod);
  await until(() => node.said(pod) === "Running main=running");
  return pod;
}

test("one that the object gains is started, and its status is told apart from the others'", async () => {
  const pod = await running();
  node.provider.update(debugged(pod, { name: "debug" }));
  await until(() => statusOf(pod)?.state?.running !== undefined);
  expect(node.host.starts).toEqual(["main#0", "debug#0"]);
  expect(existsSync(join(node.dir(pod), "containers", "debug"))).toBe(true);
  expect(node.events.at(-1)).toMatchObject({ reason: "Started", fieldPath: "spec.ephemeralContainers{debug}" });
  node.host.exit("debug", 0);
  await until(() => statusOf(pod)?.state?.terminated?.exitCode === 0);
  node.provider.update(debugged(pod, { name: "debug" }, { name: "again" }));
  await until(() => node.host.starts.includes("again#0"));
  expect(node.host.starts).toEqual(["main#0", "debug#0", "again#0"]);
  expect(node.updatesOf(pod).at(-1)?.status).toMatchObject({ phase: "Running", containerStatuses: [{ ready: true }] });
});

test("one that the next agent finds again is neither lost nor started anew", async () => {
  const pod = await running();
  node.provider.update(debugged(pod, { name: "debug" }));
  await until(() => statusOf(pod)?.state?.running !== undefined);
  await node.restart();
  node.provider.create(debugged(pod, { name: "debug" }));
  await turns();
  expect(statusOf(pod)?.state?.running).toBeDefined();
  expect(node.host.starts).toEqual(["main#0", "debug#0"]);
  node.provider.delete(pod, 30);
  await until(() => node.isGone(pod));
  expect(node.host.containers).toEqual([]);
});

test("one that asks for more rights than the node gives waits with the reason, and its pod runs on", async () => {
  const pod = await running();
  node.provider.update(debugged(pod, { name: "debug", securityContext: { privileged: true } }));
  await until(() => statusOf(pod)?.state?.waiting !== undefined);
  expect(statusOf(pod)?.state?.waiting).toMatchObject({
    reason: "CreateContainerConfigError",
    message: expect.stringContaining("privileged"),
  });
  clock.advance(600_000);
  await turns();
  expect(node.host.starts).toEqual(["main#0"]);
});
