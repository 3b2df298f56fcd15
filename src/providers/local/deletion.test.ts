import { existsSync, lstatSync, mkdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Pod } from "../../kube/types.ts";
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

async function running(pod: Pod): Promise<Pod> {
  node.provider.create(pod);
  await until(() => node.said(pod).startsWith("Running"));
  return pod;
}

const gone = (pod: Pod) => until(() => node.isGone(pod));

describe("deleting a pod", () => {
  test("asks its containers to end, removes its directory and link, and says gone last and once", async () => {
    const pod = await running(makePod());
    const link = join(node.podsDir, "default", pod.metadata?.name ?? "");
    expect(readlinkSync(link)).toBe(node.dir(pod));
    node.provider.delete(pod, 30);
    await gone(pod);
    expect(node.host.signals).toEqual(["main#0 15"]);
    expect(existsSync(node.dir(pod))).toBe(false);
    expect(() => lstatSync(link)).toThrow("ENOENT");
    expect(node.story(pod)).toEqual(["Running main=running", "Failed main=exit 143", "gone"]);
    expect(node.updatesOf(pod).at(-1)?.status.phase).toBe("Failed");
    expect(node.provider.list()).toEqual([]);
    expect(node.provider.get(pod.metadata?.uid ?? "")).toBeUndefined();
    clock.advance(3_600_000);
    await turns();
    expect(node.story(pod).filter((s) => s === "gone")).toHaveLength(1);
  });

  test("kills what does not end within the grace period", async () => {
    node.host.deaf.add("main");
    const pod = await running(makePod());
    node.provider.delete(pod, 30);
    await until(() => node.host.signals.length === 1);
    clock.advance(29_999);
    await turns();
    expect(node.isGone(pod)).toBe(false);
    clock.advance(1);
    await gone(pod);
    expect(node.host.signals).toEqual(["main#0 15", "main#0 kill"]);
  });

  test("hurries with a shorter grace period, and takes no longer with a longer one", async () => {
    node.host.deaf.add("main");
    const pod = await running(makePod());
    node.provider.delete(pod, 300);
    await until(() => node.host.signals.length === 1);
    node.provider.delete(pod, 5);
    node.provider.delete(pod, 900);
    await turns();
    clock.advance(5000);
    await gone(pod);
  });

  test("with grace 0 kills at once", async () => {
    const pod = await running(makePod());
    node.provider.delete(pod, 0);
    await gone(pod);
    expect(node.host.signals).toEqual(["main#0 kill"]);
  });

  test("tries again to kill what could not be killed", async () => {
    const pod = await running(makePod());
    let failures = 0;
    node.host.onKill = () => {
      if (++failures < 3) throw new Error("no answer");
    };
    node.provider.delete(pod, 0);
    await until(() => failures === 1);
    await turns();
    clock.advance(1000);
    await until(() => failures === 2);
    await turns();
    clock.advance(1000);
    await gone(pod);
  });

  test("twice is deleting once", async () => {
    const pod = await running(makePod());
    node.provider.delete(pod, 30);
    node.provider.delete(pod, 30);
    await gone(pod);
    expect(node.host.signals).toEqual(["main#0 15"]);
    expect(node.story(pod).filter((s) => s === "gone")).toHaveLength(1);
  });

  test("that is not here says gone at once, without a status", () => {
    const pod = makePod();
    node.provider.delete(pod, 30);
    expect(node.updatesOf(pod)).toEqual([{ pod: expect.objectContaining({}), status: {}, gone: true }]);
  });

  test("that is over removes it", async () => {
    const pod = makePod({ restartPolicy: "Never", containers: [{ name: "main", command: ["exit", "0"] }] });
    node.provider.create(pod);
    await until(() => node.said(pod) === "Succeeded main=exit 0");
    node.provider.delete(pod, 30);
    await gone(pod);
    expect(node.story(pod)).toEqual(["Succeeded main=exit 0", "gone"]);
    // by which the status writer knows that there is nothing to write again
    const [over, atLast] = node.statuses.get(pod.metadata?.uid ?? "") ?? [];
    expect(atLast).toBe(over);
  });

  test("before its first turn leaves nothing behind and starts nothing", async () => {
    const pod = makePod();
    node.provider.create(pod);
    node.provider.delete(pod, 30);
    await gone(pod);
    expect(node.host.starts).toEqual([]);
    expect(existsSync(node.dir(pod))).toBe(false);
  });

  test("during its set-up breaks that off, and removes the directory only after it", async () => {
    let finish = () => {};
    let aborted = false;
    node.preparer.onPod = async (one, signal) => {
      signal.addEventListener("abort", () => {
        aborted = true;
      });
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      mkdirSync(join(node.dir(one), "configmaps"), { recursive: true });
    };
    const pod = makePod();
    node.provider.create(pod);
    await until(() => node.preparer.setUps === 1);
    node.provider.delete(pod, 30);
    await until(() => aborted);
    await turns(500);
    expect(node.isGone(pod)).toBe(false);
    finish();
    await gone(pod);
    expect(existsSync(node.dir(pod))).toBe(false);
    expect(node.host.starts).toEqual([]);
  });

  test("while a container's environment is fetched makes no start", async () => {
    node.preparer.onContainer = (_pod, _container, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const pod = makePod();
    node.provider.create(pod);
    await until(() => node.preparer.setUps === 1);
    await turns();
    node.provider.delete(pod, 30);
    await gone(pod);
    expect(node.host.starts).toEqual([]);
    expect(node.reasons()).not.toContain("Failed");
  });

  test("while a start is in flight ends what comes of it", async () => {
    let go = () => {};
    node.host.onStart = () =>
      new Promise((resolve) => {
        go = resolve;
      });
    const pod = makePod();
    node.provider.create(pod);
    await until(() => node.preparer.setUps === 1);
    await turns();
    node.provider.delete(pod, 30);
    await turns();
    expect(node.isGone(pod)).toBe(false);
    go();
    await gone(pod);
    expect(node.host.starts).toEqual(["main#0"]);
    expect(node.host.signals).toEqual(["main#0 15"]);
  });

  test("waits for a refresh of its volumes that is under way", async () => {
    const pod = await running(makePod({ volumes: [{ name: "v", configMap: { name: "c" } }] }));
    let finish = () => {};
    node.preparer.onRefresh = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    clock.advance(1000);
    node.objects.changed("ConfigMap default/c");
    await until(() => node.preparer.refreshes === 1);
    node.provider.delete(pod, 0);
    await until(() => node.said(pod).startsWith("Failed"));
    await turns(500);
    expect(node.isGone(pod)).toBe(false);
    finish();
    await gone(pod);
  });

  test("tries again when its directory can't be removed yet", async () => {
    const pod = await running(makePod());
    node.host.onRemove = () => Promise.reject(new Error("disk on fire"));
    node.provider.delete(pod, 0);
    await until(() => node.reasons().includes("FailedKillPod"));
    expect(node.isGone(pod)).toBe(false);
    node.host.onRemove = () => {};
    clock.advance(1000);
    await gone(pod);
    expect(existsSync(node.dir(pod))).toBe(false);
  });

  test("leaves no watch of the objects that it mounted", async () => {
    const pod = await running(makePod({ volumes: [{ name: "v", configMap: { name: "c" } }] }));
    clock.advance(1000);
    expect(node.objects.watched).toEqual(["ConfigMap default/c"]);
    node.provider.delete(pod, 0);
    await gone(pod);
    expect(node.objects.watched).toEqual([]);
  });
});

test("a pod that is over watches none of the objects that it mounted", async () => {
  const pod = await running(makePod({ restartPolicy: "Never", volumes: [{ name: "v", configMap: { name: "c" } }] }));
  clock.advance(1000);
  expect(node.objects.watched).toEqual(["ConfigMap default/c"]);
  node.host.exit("main", 0);
  await until(() => node.said(pod).startsWith("Succeeded"));
  expect(node.objects.watched).toEqual([]);
});

test("a pod of the same name gets the link, and the end of the old one does not take it away", async () => {
  const name = "same";
  node.host.deaf.add("main");
  const old = await running(makePod({}, { namespace: "default", name, uid: "old" }));
  node.provider.delete(old, 30);
  await until(() => node.host.signals.length === 1);
  const young = makePod({ containers: [{ name: "other" }] }, { namespace: "default", name, uid: "young" });
  await running(young);
  const link = join(node.podsDir, "default", name);
  expect(readlinkSync(link)).toBe(node.dir(young));
  node.host.exit("main", 0);
  await gone(old);
  expect(readlinkSync(link)).toBe(node.dir(young));
  expect(existsSync(node.dir(old))).toBe(false);
  expect(existsSync(node.dir(young))).toBe(true);
});

test("stop leaves the containers alone, and no timer, whatever is under way", async () => {
  node.host.deaf.add("main");
  const ending = await running(makePod());
  node.provider.delete(ending, 30);
  const crashing = await running(makePod({ containers: [{ name: "crash" }] }));
  node.host.exit("crash", 1);
  await until(() => node.said(crashing).endsWith("(1)"));
  node.host.exit("crash", 1);
  await until(() => node.said(crashing).includes("CrashLoopBackOff"));
  let finish = () => {};
  node.preparer.onPod = () =>
    new Promise((resolve) => {
      finish = resolve;
    });
  const settingUp = makePod();
  node.provider.create(settingUp);
  await until(() => node.preparer.setUps === 3);
  const before = node.updates.length;
  expect(clock.pending).toBeGreaterThan(0);
  await node.provider.stop();
  await node.provider.stop();
  finish();
  await turns();
  expect(clock.pending).toBe(0);
  clock.advance(3_600_000);
  await turns();
  expect(node.updates).toHaveLength(before);
  expect(node.host.find("main").container.exit).toBeUndefined();
});

describe("a clock that is set back an hour", () => {
  const hour = 3_600_000;

  test("does not put off the kill at the end of the grace period", async () => {
    node.host.deaf.add("main");
    const pod = await running(makePod());
    node.provider.delete(pod, 30);
    await until(() => node.host.signals.length === 1);
    clock.advance(10_000);
    clock.setBack(hour);
    for (let i = 0; i < 40 && !node.isGone(pod); i++) {
      clock.advance(1000);
      await turns();
    }
    await gone(pod);
    expect(node.host.signals).toEqual(["main#0 15", "main#0 kill"]);
  });

  test("does not put off a restart that waits for its back-off, and shortens none", async () => {
    const pod = await running(makePod());
    node.host.exit("main", 1);
    await until(() => node.host.starts.length === 2);
    node.host.exit("main", 1);
    await until(() => node.said(pod).includes("CrashLoopBackOff"));
    clock.setBack(hour);
    clock.advance(9000);
    await turns();
    expect(node.host.starts).toHaveLength(2);
    for (let i = 0; i < 12; i++) {
      clock.advance(1000);
      await turns();
    }
    expect(node.host.starts).toHaveLength(3);
  });

  test("does not give a pod more time than activeDeadlineSeconds", async () => {
    const pod = await running(makePod({ activeDeadlineSeconds: 60 }));
    clock.advance(30_000);
    clock.setBack(hour);
    for (let i = 0; i < 61; i++) {
      clock.advance(1000);
      await turns();
    }
    expect(node.updatesOf(pod).at(-1)?.status.reason).toBe("DeadlineExceeded");
  });
});
