import { afterEach, beforeEach, describe, expect, test } from "vitest";
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

const main = { name: "main" };
const exits = (code: number, name = "main") => ({ name, command: ["exit", String(code)] });

describe("a pod's way", () => {
  test("from its binding to Succeeded is told once running and once over", async () => {
    const pod = makePod({ restartPolicy: "Never" });
    node.provider.create(pod);
    await until(() => node.said(pod) === "Running main=running");
    clock.advance(5000);
    node.host.exit("main", 0);
    await until(() => node.said(pod) === "Succeeded main=exit 0");
    expect(node.story(pod)).toEqual(["Running main=running", "Succeeded main=exit 0"]);
    const { status } = node.updatesOf(pod).at(-1)!;
    expect(status.startTime).toBe("2026-01-01T00:00:00Z");
    expect(status.containerStatuses?.[0]?.state?.terminated).toMatchObject({
      exitCode: 0,
      reason: "Completed",
      startedAt: "2026-01-01T00:00:00Z",
      finishedAt: "2026-01-01T00:00:05Z",
    });
    expect(node.reasons()).toEqual(["Created", "Started"]);
  });

  test("that settles within 100 ms is told in one report, init containers and all", async () => {
    const pod = makePod({ initContainers: [exits(0, "setup")], containers: [main] });
    node.provider.create(pod);
    await until(() => node.story(pod).length > 0);
    expect(node.story(pod)).toEqual(["Running setup=exit 0 main=running"]);
  });

  test("that takes longer is told as it stands after 100 ms", async () => {
    node.preparer.onPod = () => new Promise(() => {});
    const pod = makePod();
    node.provider.create(pod);
    await turns();
    expect(node.story(pod)).toEqual([]);
    clock.advance(99);
    await turns();
    expect(node.story(pod)).toEqual([]);
    clock.advance(1);
    await until(() => node.story(pod).length > 0);
    expect(node.story(pod)).toEqual(["Pending main=ContainerCreating"]);
  });

  test("with exit code 3 ends Failed with that code", async () => {
    const pod = makePod({ restartPolicy: "Never", containers: [exits(3)] });
    node.provider.create(pod);
    await until(() => node.said(pod) === "Failed main=exit 3");
    expect(node.host.starts).toEqual(["main#0"]);
  });

  test("does not touch the runtime or the disk again when it is created twice", async () => {
    const pod = makePod();
    node.provider.create(pod);
    node.provider.create(pod);
    await until(() => node.said(pod) === "Running main=running");
    node.provider.create(pod);
    await turns();
    expect(node.host.starts).toEqual(["main#0"]);
    expect(node.preparer.setUps).toBe(1);
  });
});

describe("restarts", () => {
  const crash = async (pod: ReturnType<typeof makePod>, restarts: number, waits: boolean) => {
    node.host.exit("main", 1);
    const expected = waits
      ? `Running main=CrashLoopBackOff${restarts > 0 ? ` (${restarts})` : ""}`
      : `Running main=running (${restarts + 1})`;
    await until(() => node.said(pod) === expected);
  };

  test("the first is immediate, the second waits 10 s, the third 20 s", async () => {
    const pod = makePod();
    node.provider.create(pod);
    await until(() => node.said(pod) === "Running main=running");
    await crash(pod, 0, false);
    await crash(pod, 1, true);
    clock.advance(9999);
    await turns();
    expect(node.host.starts).toEqual(["main#0", "main#1"]);
    clock.advance(1);
    await until(() => node.said(pod) === "Running main=running (2)");
    await crash(pod, 2, true);
    clock.advance(19_999);
    await turns();
    expect(node.host.starts).toHaveLength(3);
    clock.advance(1);
    await until(() => node.said(pod) === "Running main=running (3)");
    expect(node.reasons().filter((r) => r === "BackOff")).toHaveLength(2);
  });

  test("a restarting container never says it is waiting for what is done in a moment", async () => {
    const pod = makePod();
    node.provider.create(pod);
    await until(() => node.said(pod) === "Running main=running");
    await crash(pod, 0, false);
    expect(node.story(pod)).toEqual(["Running main=running", "Running main=running (1)"]);
  });

  test("the current start and the one before it are kept, older ones are forgotten", async () => {
    const pod = makePod();
    node.provider.create(pod);
    await until(() => node.said(pod) === "Running main=running");
    await crash(pod, 0, false);
    await crash(pod, 1, true);
    clock.advance(10_000);
    await until(() => node.host.removed.length > 0);
    expect(node.host.removed).toEqual(["main#0"]);
  });

  test("an old start that can't be forgotten does no harm to the one that runs", async () => {
    node.host.onRemove = () => Promise.reject(new Error("busy"));
    const pod = makePod();
    node.provider.create(pod);
    await until(() => node.said(pod) === "Running main=running");
    await crash(pod, 0, false);
    await crash(pod, 1, true);
    clock.advance(10_000);
    await until(() => node.said(pod) === "Running main=running (2)");
    await turns();
    expect(node.reasons()).not.toContain("Failed");
    await crash(pod, 2, true);
    node.host.onRemove = () => {};
  });

  test("OnFailure ends the pod when the container succeeds at last", async () => {
    const pod = makePod({ restartPolicy: "OnFailure" });
    node.provider.create(pod);
    await until(() => node.said(pod) === "Running main=running");
    await crash(pod, 0, false);
    node.host.exit("main", 0);
    await until(() => node.said(pod) === "Succeeded main=exit 0 (1)");
  });

  test("a failed init container ends the pod under Never, and its main container is never run", async () => {
    const pod = makePod({ restartPolicy: "Never", initContainers: [exits(2, "setup")] });
    node.provider.create(pod);
    await until(() => node.said(pod).startsWith("Failed"));
    expect(node.host.starts).toEqual(["setup#0"]);
  });
});

describe("sidecars", () => {
  const sidecar = (name: string) => ({ name, restartPolicy: "Always" });

  test("run before the main container and end after it, in reverse order", async () => {
    const pod = makePod({
      restartPolicy: "Never",
      initContainers: [sidecar("proxy"), exits(0, "setup"), sidecar("logger")],
      containers: [main],
    });
    node.provider.create(pod);
    await until(() => node.said(pod).endsWith("main=running"));
    expect(node.host.starts).toEqual(["proxy#0", "setup#0", "logger#0", "main#0"]);
    node.host.exit("main", 0);
    await until(() => node.said(pod).startsWith("Succeeded"));
    expect(node.host.signals).toEqual(["logger#0 15", "proxy#0 15"]);
  });

  test("one that is deaf is killed when the grace period is over", async () => {
    const pod = makePod({
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 7,
      initContainers: [sidecar("proxy")],
      containers: [main],
    });
    node.host.deaf.add("proxy");
    node.provider.create(pod);
    await until(() => node.said(pod).endsWith("main=running"));
    node.host.exit("main", 0);
    await until(() => node.host.signals.length === 1);
    clock.advance(7000);
    await until(() => node.said(pod).startsWith("Succeeded"));
    expect(node.host.signals).toEqual(["proxy#0 15", "proxy#0 kill"]);
  });
});

describe("the deadline", () => {
  test("ends the pod with its grace, and it is Failed with DeadlineExceeded", async () => {
    const pod = makePod({ activeDeadlineSeconds: 60 });
    node.provider.create(pod);
    await until(() => node.said(pod) === "Running main=running");
    clock.advance(60_000);
    await until(() => node.said(pod).startsWith("Failed"));
    expect(node.host.signals).toEqual(["main#0 15"]);
    expect(node.updatesOf(pod).at(-1)?.status.reason).toBe("DeadlineExceeded");
    expect(node.reasons()).toContain("DeadlineExceeded");
  });

  test("also ends a pod that never came to be set up", async () => {
    node.preparer.onPod = (_pod, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const pod = makePod({ activeDeadlineSeconds: 60 });
    node.provider.create(pod);
    await until(() => node.preparer.setUps === 1);
    clock.advance(60_000);
    await until(() => node.said(pod).startsWith("Failed"));
    expect(node.host.starts).toEqual([]);
  });
});

describe("logs", () => {
  const read = async (pod: ReturnType<typeof makePod>, container: string, previous = false) => {
    const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
    const options = { follow: false, previous, timestamps: false };
    const chunks: Uint8Array[] = [];
    const log = node.provider.logs({ namespace, name, uid }, container, options, new AbortController().signal);
    for await (const chunk of log) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };

  test("are those of the current start, or with previous of the one before", async () => {
    const pod = makePod();
    node.provider.create(pod);
    await until(() => node.said(pod) === "Running main=running");
    expect(await read(pod, "main")).toBe("log of main#0\n");
    await expect(read(pod, "main", true)).rejects.toThrow(/previous terminated container "main" in pod .* not found/);
    node.host.exit("main", 1);
    await until(() => node.said(pod) === "Running main=running (1)");
    expect(await read(pod, "main", true)).toBe("log of main#0\n");
    expect(await read(pod, "main")).toBe("log of main#1\n");
  });

  test("of a container that waits say why it waits", async () => {
    node.preparer.onPod = () => new Promise(() => {});
    const pod = makePod();
    node.provider.create(pod);
    await turns();
    await expect(read(pod, "main")).rejects.toMatchObject({ code: "NotFound", message: /waiting to start: Cont/ });
    await expect(read(pod, "other")).rejects.toMatchObject({
      code: "NotFound",
      message: /container other is not valid/,
    });
    await expect(read(makePod(), "main")).rejects.toMatchObject({
      code: "NotFound",
      message: /not found on this node/,
    });
  });
});
