import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
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

/** The pod as the API server has it after the agent's last report. */
const stored = (pod: Pod): Pod => ({ ...pod, status: node.updatesOf(pod).at(-1)?.status ?? {} });
const uids = (pods: Pod[]) => pods.map((pod) => pod.metadata?.uid);

describe("an agent that begins again", () => {
  test("adopts what runs, starts nothing twice and says nothing before the node has handed the pod over", async () => {
    const pod = await running(makePod());
    expect(uids(await node.restart())).toEqual([pod.metadata?.uid]);
    await turns();
    expect(node.story(pod)).toEqual(["Running main=running"]);
    node.provider.update(stored(pod));
    await until(() => node.story(pod).length === 2);
    node.host.exit("main", 1);
    await until(() => node.said(pod) === "Running main=running (1)");
    expect(node.host.starts).toEqual(["main#0", "main#1"]);
  });

  test("keeps the conditions' times of the API object", async () => {
    const pod = await running(makePod());
    const object = stored(pod);
    clock.advance(3_600_000);
    await node.restart();
    await turns();
    node.provider.update(object);
    await until(() => node.story(pod).length === 2);
    expect(node.updatesOf(pod).at(-1)?.status).toEqual(object.status);
  });

  test("tells an end that came while nobody was there, with its own time", async () => {
    const pod = await running(makePod({ restartPolicy: "Never" }));
    const object = stored(pod);
    await node.provider.stop();
    clock.advance(1000);
    node.host.exit("main", 3);
    clock.advance(3_600_000);
    await node.restart();
    node.provider.update(object);
    await until(() => node.said(pod) === "Failed main=exit 3");
    const { state } = node.updatesOf(pod).at(-1)!.status.containerStatuses![0]!;
    expect(state?.terminated?.finishedAt).toBe("2026-01-01T00:00:01Z");
    expect(node.host.starts).toEqual(["main#0"]);
  });

  test("goes on with the back-off where it was", async () => {
    const pod = await running(makePod());
    for (const restarts of [1, 2]) {
      node.host.exit("main", 1);
      if (restarts === 2) {
        await until(() => node.said(pod).includes("CrashLoopBackOff"));
        clock.advance(10_000);
      }
      await until(() => node.said(pod).endsWith(`running (${restarts})`));
    }
    await node.restart();
    node.provider.update(stored(pod));
    await turns();
    node.host.exit("main", 1);
    await until(() => node.said(pod).includes("CrashLoopBackOff"));
    expect(node.updatesOf(pod).at(-1)?.status.containerStatuses?.[0]?.state?.waiting?.message).toMatch("back-off 20s");
  });

  test("lays the volumes of a pod in back-off again without taking its conditions back meanwhile", async () => {
    const pod = await running(makePod());
    node.host.exit("main", 1);
    await until(() => node.said(pod).endsWith("(1)"));
    node.host.exit("main", 1);
    await until(() => node.said(pod).includes("CrashLoopBackOff"));
    const object = stored(pod);
    let finish = () => {};
    node.preparer.onPod = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    await node.restart();
    node.provider.update(object);
    await turns();
    finish();
    await until(() => node.story(pod).length === 4);
    expect(node.updatesOf(pod).at(-1)?.status).toEqual(object.status);
  });

  test("does not forget that a pod had exceeded its deadline", async () => {
    node.host.deaf.add("main");
    const pod = await running(makePod({ activeDeadlineSeconds: 60 }));
    clock.advance(60_000);
    await until(() => node.host.signals.length === 1);
    await node.provider.stop();
    node.host.exit("main", 0);
    await node.restart();
    node.provider.update(stored(pod));
    await until(() => node.said(pod).startsWith("Failed"));
    expect(node.updatesOf(pod).at(-1)?.status.reason).toBe("DeadlineExceeded");
  });

  test("ends a pod that the cluster no longer has", async () => {
    const pod = await running(makePod());
    const [found] = await node.restart();
    node.provider.delete(found!, 30);
    await until(() => node.isGone(pod));
    expect(node.host.signals).toEqual(["main#0 15"]);
    expect(existsSync(node.dir(pod))).toBe(false);
  });

  test("makes the link again that its predecessor did not come to make, or that got lost", async () => {
    const pod = await running(makePod());
    const link = join(node.podsDir, "default", pod.metadata?.name ?? "");
    unlinkSync(link);
    await node.restart();
    expect(readlinkSync(link)).toBe(node.dir(pod));
  });

  test("leaves the link to the younger of two pods of one name", async () => {
    node.host.deaf.add("main");
    const old = await running(makePod({}, { namespace: "default", name: "same", uid: "z-old" }));
    node.provider.delete(old, 300);
    clock.advance(1000);
    const young = await running(
      makePod({ containers: [{ name: "other" }] }, { namespace: "default", name: "same", uid: "a-young" }),
    );
    expect(uids(await node.restart())).toEqual(["z-old", "a-young"]);
    expect(readlinkSync(join(node.podsDir, "default", "same"))).toBe(node.dir(young));
  });

  test("goes on without a link where something else stands by now", async () => {
    const pod = await running(makePod());
    const link = join(node.podsDir, "default", pod.metadata?.name ?? "");
    unlinkSync(link);
    mkdirSync(link);
    await node.restart();
    node.provider.update(stored(pod));
    await until(() => node.story(pod).length === 2);
    expect(lstatSync(link).isDirectory()).toBe(true);
    expect(node.host.find("main").container.exit).toBeUndefined();
  });
});

describe("a record that can't be used", () => {
  const damage: Record<string, (file: string, text: string) => void> = {
    "cut in half": (file, text) => writeFileSync(file, text.slice(0, text.length / 2)),
    empty: (file) => writeFileSync(file, ""),
    null: (file) => writeFileSync(file, "null"),
    "without a pod": (file) => writeFileSync(file, '{"version":1}'),
    "of another version": (file, text) => writeFileSync(file, text.replace('"version":1', '"version":2')),
    "of another pod": (file, text) => writeFileSync(file, text.replaceAll("uid-", "other-")),
    missing: (file) => rmSync(file),
  };

  test.each(Object.entries(damage))(
    "(%s) leaves the pod to its object, which adopts what runs",
    async (_name, spoil) => {
      const pod = await running(makePod());
      const object = stored(pod);
      await node.provider.stop();
      const file = join(node.dir(pod), "pod.json");
      spoil(file, readFileSync(file, "utf8"));
      expect(uids(await node.restart())).toEqual([pod.metadata?.uid]);
      node.provider.update(object);
      await until(() => node.story(pod).length === 2);
      expect(node.said(pod)).toBe("Running main=running");
      node.host.exit("main", 0);
      await until(() => node.said(pod) === "Running main=running (1)");
      expect(node.host.starts).toEqual(["main#0", "main#1"]);
      expect(JSON.parse(readFileSync(file, "utf8")).pod.metadata.uid).toBe(pod.metadata?.uid);
    },
  );

  test("does not hide an end that comes before its object does", async () => {
    const pod = await running(makePod({ restartPolicy: "Never" }));
    const object = stored(pod);
    await node.provider.stop();
    writeFileSync(join(node.dir(pod), "pod.json"), "{");
    await node.restart();
    node.host.exit("main", 4);
    node.provider.update(object);
    await until(() => node.said(pod) === "Failed main=exit 4");
  });

  test("ends its containers when the cluster does not know the pod", async () => {
    const pod = await running(makePod());
    await node.provider.stop();
    writeFileSync(join(node.dir(pod), "pod.json"), "{");
    const [found] = await node.restart();
    node.provider.delete(found!, 0);
    await until(() => node.isGone(pod));
    expect(node.host.signals).toEqual(["main#0 kill"]);
    expect(existsSync(node.dir(pod))).toBe(false);
  });
});

describe("a state directory that was lost", () => {
  const lose = async (pod: Pod) => {
    const object = stored(pod);
    await node.provider.stop();
    rmSync(node.dir(pod), { recursive: true });
    return object;
  };

  test("with its containers: they ended, nobody knows how, and are not run again under Never", async () => {
    const pod = await running(makePod({ restartPolicy: "Never" }));
    const object = await lose(pod);
    node.host.containers.length = 0;
    expect(await node.restart()).toEqual([]);
    node.provider.create(object);
    await until(() => node.said(pod) === "Failed main=exit 137");
    const { state } = node.updatesOf(pod).at(-1)!.status.containerStatuses![0]!;
    expect(state?.terminated?.reason).toBe("ContainerStatusUnknown");
    expect(node.host.starts).toEqual(["main#0"]);
    expect(node.updatesOf(pod).at(-1)?.status.startTime).toBe(object.status?.startTime);
  });

  test("with its containers: they are restarted under Always", async () => {
    const pod = await running(makePod());
    const object = await lose(pod);
    node.host.containers.length = 0;
    await node.restart();
    node.provider.create(object);
    await until(() => node.said(pod) === "Running main=running (1)");
  });

  test("keeps what the cluster knows of a container's end", async () => {
    const pod = await running(makePod({ restartPolicy: "Never", containers: [{ name: "main" }, { name: "long" }] }));
    node.host.exit("main", 143, 15);
    await until(() => node.said(pod).startsWith("Running main=exit 143"));
    const object = await lose(pod);
    node.host.containers.length = 0;
    await node.restart();
    node.provider.create(object);
    await until(() => node.said(pod).startsWith("Failed"));
    const [known] = node.updatesOf(pod).at(-1)!.status.containerStatuses!;
    expect(known?.state).toEqual(object.status?.containerStatuses?.[0]?.state);
  });

  test("does not lose containers that a runtime keeps elsewhere", async () => {
    const pod = await running(makePod({ restartPolicy: "Never" }));
    const object = await lose(pod);
    expect(uids(await node.restart())).toEqual([pod.metadata?.uid]);
    node.provider.update(object);
    await until(() => node.story(pod).length === 2);
    expect(node.said(pod)).toBe("Running main=running");
    expect(node.host.starts).toEqual(["main#0"]);
  });
});
