import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Pod } from "../../kube/types.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { until } from "../../testing/turns.ts";
import { FakeNode, makePod } from "./testing/fakeNode.ts";

const gpu = "nvidia.com/gpu";
let clock: ManualClock;
let node: FakeNode;

beforeEach(async () => {
  clock = new ManualClock();
  node = new FakeNode(clock);
  node.devices = new Map([[gpu, ["0", "1"]]]);
  await node.restart();
});
afterEach(() => node.dispose());

function asking(uid: string, count: string): Pod {
  const pod = makePod();
  const limits = { [gpu]: count };
  const containers = pod.spec!.containers.map((container) => ({ ...container, resources: { limits } }));
  return { ...pod, metadata: { ...pod.metadata, name: uid, uid }, spec: { ...pod.spec, containers } };
}
const running = async (pod: Pod) => {
  node.provider.create(pod);
  await until(() => node.said(pod).startsWith("Running main=running"));
};
const recorded = (pod: Pod) => JSON.parse(readFileSync(join(node.dir(pod), "pod.json"), "utf8")).devices;
const status = (pod: Pod) => node.updatesOf(pod).at(-1)?.status;

test("what a pod has stands in its record, is kept for it by the next agent, and is free when it has ended", async () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map((uid) => asking(uid, "1")) as [Pod, Pod, Pod, Pod];
  await running(a);
  expect(recorded(a)).toEqual({ main: { [gpu]: ["0"] } });
  await node.restart();
  await running(b);
  expect(recorded(b)).toEqual({ main: { [gpu]: ["1"] } });

  node.provider.create(c);
  await until(() => status(c)?.phase === "Failed");
  expect(status(c)).toMatchObject({
    reason: "UnexpectedAdmissionError",
    message: `Allocate failed due to requested number of devices unavailable for ${gpu}. Requested: 1, Available: 0, which is unexpected`,
  });

  node.provider.update(a);
  node.provider.evict("a", { reason: "Terminated", message: "it has to", gracePeriodSeconds: 10 });
  await until(() => status(a)?.phase === "Failed");
  expect(recorded(a)).toBeUndefined();
  await node.restart();
  await running(d);
  expect(recorded(d)).toEqual({ main: { [gpu]: ["0"] } });
  node.provider.update(a);
  await until(() => status(a)?.reason === "Terminated");
});

test("a resize is told to be infeasible, by the next agent too, until it is taken back", async () => {
  const pod = asking("a", "1");
  const more = asking("a", "2");
  const condition = () => status(pod)?.conditions?.find(({ type }) => type === "PodResizePending");
  await running(pod);
  node.provider.update(more);
  await until(() => condition()?.status === "True");
  expect(condition()).toMatchObject({ reason: "Infeasible" });
  node.updates.length = 0;
  await node.restart();
  node.provider.update(more);
  await until(() => condition()?.status === "True");
  node.provider.update(pod);
  await until(() => condition()?.status === "False");
  expect(recorded(pod)).toEqual({ main: { [gpu]: ["0"] } });
});
