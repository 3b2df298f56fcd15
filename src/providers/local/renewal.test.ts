import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../testing/manualClock.ts";
import { turns, until } from "../../testing/turns.ts";
import { FakeNode, makePod } from "./testing/fakeNode.ts";

const hour = 3_600_000;

let clock: ManualClock;
let node: FakeNode;

beforeEach(async () => {
  clock = new ManualClock();
  node = new FakeNode(clock);
  await node.provider.recover();
  node.preparer.refreshAt = clock.now() + hour;
  node.preparer.onRefresh = () => {
    node.preparer.refreshAt = clock.now() + hour;
  };
});
afterEach(async () => {
  await node.dispose();
  expect(clock.pending).toBe(0);
});

async function runningPod() {
  const pod = makePod();
  node.provider.create(pod);
  await until(() => node.said(pod) === "Running main=running");
  return pod;
}

async function advance(ms: number) {
  clock.advance(ms);
  await turns();
}

test("volumes are refreshed each time that their tokens have to be renewed, and not before", async () => {
  await runningPod();
  await advance(hour - 1);
  expect(node.preparer.refreshes).toBe(0);
  await advance(1);
  expect(node.preparer.refreshes).toBe(1);
  await advance(hour - 1);
  expect(node.preparer.refreshes).toBe(1);
  await advance(1);
  expect(node.preparer.refreshes).toBe(2);
});

test("a renewal that is under way is not begun again", async () => {
  await runningPod();
  let finish = () => {};
  node.preparer.onRefresh = () =>
    new Promise<void>((resolve) => {
      finish = () => {
        node.preparer.refreshAt = clock.now() + hour;
        resolve();
      };
    });
  await advance(hour);
  await advance(hour);
  expect(node.preparer.refreshes).toBe(1);
  finish();
  await turns();
  await advance(hour);
  expect(node.preparer.refreshes).toBe(2);
  finish();
});

test("the next agent renews the tokens of the pods that it finds", async () => {
  await runningPod();
  await node.restart();
  await until(() => node.preparer.setUps === 2);
  await advance(hour);
  expect(node.preparer.refreshes).toBe(1);
});

test("a pod that is over, or ending, needs no tokens any more", async () => {
  const over = makePod({ restartPolicy: "Never" });
  node.provider.create(over);
  await until(() => node.said(over) === "Running main=running");
  node.host.exit("main", 0);
  await until(() => node.said(over) === "Succeeded main=exit 0");
  await advance(2 * hour);
  expect(node.preparer.refreshes).toBe(0);
});
