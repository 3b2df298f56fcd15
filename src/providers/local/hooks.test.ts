import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Container, Lifecycle, Pod } from "../../kube/types.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { turns, until } from "../../testing/turns.ts";
import { FakeNode, makePod } from "./testing/fakeNode.ts";
import type { FakeExec } from "./testing/fakeRuntime.ts";

let clock: ManualClock;
let node: FakeNode;
/** Ends the command that runs, by its first word. */
let finish: Map<string, (result: FakeExec) => void>;
let aborted: string[];

beforeEach(async () => {
  clock = new ManualClock();
  node = new FakeNode(clock);
  finish = new Map();
  aborted = [];
  node.host.onExec = (_id, [command = ""], signal) =>
    new Promise((resolve) => {
      finish.set(command, resolve);
      signal.addEventListener("abort", () => aborted.push(command));
    });
  await node.provider.recover();
});
afterEach(async () => {
  await node.dispose();
  expect(clock.pending).toBe(0);
});

const command = (word: string) => ({ exec: { command: [word] } });
const hooked = (lifecycle: Lifecycle, rest: Partial<Container> = {}) =>
  makePod({ containers: [{ name: "main", lifecycle, ...rest }] });
const statusOf = (pod: Pod) => node.provider.get(pod.metadata!.uid!)?.containerStatuses?.[0];
const messages = (reason: string) => node.events.filter((e) => e.reason === reason).map((e) => e.message);

async function running(pod: Pod): Promise<Pod> {
  node.provider.create(pod);
  await until(() => statusOf(pod)?.state?.running !== undefined);
  await turns();
  return pod;
}

describe("postStart", () => {
  test("holds up that its container counts as started", async () => {
    const pod = await running(hooked({ postStart: command("begin") }));
    expect(statusOf(pod)).toMatchObject({ started: false, ready: false });
    finish.get("begin")!({});
    await turns();
    expect(statusOf(pod)).toMatchObject({ started: true, ready: true });
  });

  test("that fails ends its container, which is restarted, and does not tell what it said", async () => {
    const pod = await running(hooked({ postStart: command("begin") }));
    finish.get("begin")!({ exitCode: 1, stdout: "password" });
    await until(() => statusOf(pod)?.restartCount === 1);
    expect(messages("FailedPostStartHook")).toEqual(["PostStartHook failed"]);
    expect(messages("Killing")).toEqual(["FailedPostStartHook"]);
    expect(JSON.stringify(node.events)).not.toContain("password");
  });

  test("ends with its container", async () => {
    await running(hooked({ postStart: command("begin") }, { name: "main" }));
    node.host.exit("main", 0);
    await until(() => aborted.includes("begin"));
    expect(messages("FailedPostStartHook")).toEqual([]);
  });

  test("can sleep", async () => {
    const pod = await running(hooked({ postStart: { sleep: { seconds: 3 } } }));
    expect(statusOf(pod)).toMatchObject({ started: false });
    clock.advance(3000);
    await turns();
    expect(statusOf(pod)).toMatchObject({ started: true });
  });
});

describe("preStop", () => {
  test("comes before the stop signal, and takes its time from the grace period", async () => {
    node.host.deaf.add("main");
    const pod = await running(hooked({ preStop: command("end") }));
    node.provider.delete(pod, 30);
    await turns();
    clock.advance(20_000);
    expect(node.host.signals).toEqual([]);
    finish.get("end")!({});
    await until(() => node.host.signals.includes("main#0 15"));
    clock.advance(9_999);
    await turns();
    expect(node.host.signals).toEqual(["main#0 15"]);
    clock.advance(1);
    await until(() => node.isGone(pod));
    expect(node.host.signals).toEqual(["main#0 15", "main#0 kill"]);
    expect(messages("Killing")).toEqual(["Stopping container main"]);
  });

  test("that does not end is given up with the grace period, and leaves 2 s for the signal", async () => {
    node.host.deaf.add("main");
    const pod = await running(hooked({ preStop: command("end") }));
    node.provider.delete(pod, 5);
    await turns();
    clock.advance(5000);
    await until(() => node.host.signals.includes("main#0 15"));
    expect(aborted).toEqual(["end"]);
    clock.advance(1999);
    await turns();
    expect(node.host.signals).toEqual(["main#0 15"]);
    clock.advance(1);
    await until(() => node.isGone(pod));
  });

  test("that fails is told, and changes nothing else", async () => {
    const pod = await running(hooked({ preStop: command("end") }));
    node.provider.delete(pod, 30);
    await turns();
    finish.get("end")!({ exitCode: 3 });
    await until(() => node.isGone(pod));
    expect(messages("FailedPreStopHook")).toEqual(["PreStopHook failed"]);
    expect(node.host.signals).toEqual(["main#0 15"]);
  });

  test("is cut short by a deletion that is forced later", async () => {
    const pod = await running(hooked({ preStop: command("end") }));
    node.provider.delete(pod, 30);
    await turns();
    node.provider.delete(pod, 0);
    await until(() => node.isGone(pod));
    expect(aborted).toEqual(["end"]);
    expect(node.host.signals).toEqual(["main#0 kill"]);
  });

  test("does not run in a container that ended by itself", async () => {
    const pod = await running(
      makePod({ restartPolicy: "Never", containers: [{ name: "main", lifecycle: { preStop: command("end") } }] }),
    );
    node.host.exit("main", 0);
    await until(() => node.said(pod).startsWith("Succeeded"));
    expect(node.host.execs).toEqual([]);
  });

  test("ends when its container does", async () => {
    const pod = await running(hooked({ preStop: command("end") }));
    node.provider.delete(pod, 30);
    await turns();
    node.host.exit("main", 0);
    await until(() => node.isGone(pod));
    expect(aborted).toEqual(["end"]);
    expect(node.host.signals).toEqual([]);
  });
});

test("stopSignal is what asks a container to end", async () => {
  const pod = await running(hooked({ stopSignal: "SIGUSR1" }));
  node.provider.delete(pod, 30);
  await until(() => node.isGone(pod));
  expect(node.host.signals).toEqual(["main#0 10"]);
});

describe("a container that can't be ended", () => {
  test("because the runtime does not answer: its signal is given up, and the kill follows in time", async () => {
    node.host.onSignal = () => new Promise(() => {});
    const pod = await running(makePod());
    node.provider.delete(pod, 15);
    await turns();
    clock.advance(10_000);
    await until(() => messages("FailedKillPod").length === 1);
    expect(messages("FailedKillPod")).toEqual(["error killing container main: the container runtime does not answer"]);
    clock.advance(5000);
    await until(() => node.isGone(pod));
  });

  test("because its process sleeps uninterruptibly is killed again and again, and said so", async () => {
    node.host.onKill = () => new Promise(() => {});
    const pod = await running(makePod());
    node.provider.delete(pod, 0);
    await until(() => node.host.signals.length === 1);
    for (let i = 0; i < 12; i++) {
      clock.advance(1000);
      await turns();
    }
    await until(() => node.host.signals.length === 2);
    expect(node.reasons()).toContain("FailedKillPod");
    node.host.exit("main", 137, 9);
    await until(() => node.isGone(pod));
  });

  test("does not keep the sidecars behind it from being asked when the budget is spent", async () => {
    node.host.onKill = () => new Promise(() => {});
    node.host.deaf.add("main");
    const pod = makePod({ initContainers: [{ name: "proxy", restartPolicy: "Always" }] });
    await running(pod);
    node.provider.delete(pod, 10);
    await turns();
    clock.advance(10_000);
    await until(() => node.host.signals.includes("proxy#0 15"));
    expect(node.host.signals).toEqual(["main#0 15", "proxy#0 15", "main#0 kill"]);
    node.host.exit("main", 137, 9);
    await until(() => node.isGone(pod));
  });
});
