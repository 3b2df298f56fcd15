import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Container, Pod, Probe } from "../../kube/types.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { turns, until } from "../../testing/turns.ts";
import { FakeNode, makePod } from "./testing/fakeNode.ts";

let clock: ManualClock;
let node: FakeNode;
/** Commands that fail, by their first word. */
let sick: Set<string>;

beforeEach(async () => {
  clock = new ManualClock();
  node = new FakeNode(clock);
  sick = new Set();
  node.host.onExec = (_id, [command = ""]) => ({ exitCode: sick.has(command) ? 1 : 0, stdout: `${command} says no` });
  await node.provider.recover();
});
afterEach(async () => {
  await node.dispose();
  expect(clock.pending).toBe(0);
});

const probe = (command: string, rest: Probe = {}): Probe => ({ exec: { command: [command] }, ...rest });
const probed = (part: Partial<Container>, spec = {}) => makePod({ containers: [{ name: "main", ...part }], ...spec });
const statusOf = (pod: Pod, name = "main") => {
  const { initContainerStatuses = [], containerStatuses = [] } = node.provider.get(pod.metadata!.uid!) ?? {};
  return [...initContainerStatuses, ...containerStatuses].find((status) => status.name === name);
};
const messages = (reason: string) => node.events.filter((e) => e.reason === reason).map((e) => e.message);

async function running(pod: Pod): Promise<Pod> {
  node.provider.create(pod);
  await until(() => statusOf(pod)?.state?.running !== undefined);
  return pod;
}

/** Lets the clock run on, and what follows happen, step by step. */
async function pass(seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 2; i++) {
    await turns();
    clock.advance(500);
  }
  await turns();
}

describe("a readiness probe", () => {
  test("makes a container ready when it succeeds, and unready when it fails as often as it may", async () => {
    sick.add("ready");
    const pod = await running(probed({ readinessProbe: probe("ready", { periodSeconds: 5, failureThreshold: 2 }) }));
    expect(statusOf(pod)).toMatchObject({ started: true, ready: false });
    sick.clear();
    await pass(5);
    expect(statusOf(pod)).toMatchObject({ ready: true });
    expect(node.updatesOf(pod).at(-1)?.status.conditions).toContainEqual(
      expect.objectContaining({ type: "Ready", status: "True" }),
    );
    sick.add("ready");
    await pass(5);
    expect(statusOf(pod)).toMatchObject({ ready: true });
    await pass(5);
    expect(statusOf(pod)).toMatchObject({ ready: false, restartCount: 0 });
    expect(messages("Unhealthy").at(-1)).toBe("Readiness probe failed: ready says no");
  });

  test("waits for its initial delay", async () => {
    const pod = await running(probed({ readinessProbe: probe("ready", { initialDelaySeconds: 7 }) }));
    await pass(6);
    expect(node.host.execs).toEqual([]);
    await pass(1);
    expect(node.host.execs).toEqual(["main#0 ready"]);
    expect(statusOf(pod)).toMatchObject({ ready: true });
  });

  test("goes on while its pod ends, unlike a liveness probe", async () => {
    node.host.deaf.add("main");
    const pod = await running(probed({ readinessProbe: probe("ready"), livenessProbe: probe("live") }));
    await turns();
    node.provider.delete(pod, 30);
    await turns();
    node.host.execs.length = 0;
    sick.add("ready");
    sick.add("live");
    await pass(29);
    expect(new Set(node.host.execs)).toEqual(new Set(["main#0 ready"]));
    node.host.exit("main", 0);
    await until(() => node.isGone(pod));
  });
});

describe("a liveness probe", () => {
  test("that fails as often as it may has its container ended and started anew", async () => {
    const pod = await running(probed({ livenessProbe: probe("live", { periodSeconds: 1 }) }));
    sick.add("live");
    await pass(2);
    expect(node.host.signals).toEqual([]);
    await pass(1);
    expect(node.host.signals).toEqual(["main#0 15"]);
    sick.clear();
    await until(() => statusOf(pod)?.restartCount === 1);
    expect(messages("Killing")).toEqual(["Container main failed liveness probe, will be restarted"]);
    expect(messages("Unhealthy").slice(0, 3)).toEqual(Array(3).fill("Liveness probe failed: live says no"));
    expect(statusOf(pod)?.lastState?.terminated).toMatchObject({ exitCode: 143 });
    await pass(3);
    expect(node.host.execs.at(-1)).toBe("main#1 live");
  });

  test("ends its pod under restartPolicy Never", async () => {
    const spec = { restartPolicy: "Never" };
    const pod = await running(probed({ livenessProbe: probe("live", { failureThreshold: 1 }) }, spec));
    sick.add("live");
    await pass(10);
    await until(() => node.said(pod) === "Failed main=exit 143");
    expect(messages("Killing")).toEqual(["Container main failed liveness probe"]);
  });

  test("kills a deaf container after the probe's own grace period, not before", async () => {
    node.host.deaf.add("main");
    const livenessProbe = probe("live", { failureThreshold: 1, periodSeconds: 1, terminationGracePeriodSeconds: 5 });
    await running(probed({ livenessProbe }));
    sick.add("live");
    await pass(5);
    expect(node.host.signals).toEqual(["main#0 15"]);
    sick.clear();
    await pass(1);
    expect(node.host.signals).toEqual(["main#0 15", "main#0 kill"]);
  });

  test("is not asked any more once it failed, until the next start", async () => {
    node.host.deaf.add("main");
    sick.add("live");
    await running(probed({ livenessProbe: probe("live", { failureThreshold: 1, periodSeconds: 1 }) }));
    await pass(20);
    expect(node.host.execs).toEqual(["main#0 live"]);
  });

  test("that can't be made says so, and counts neither way", async () => {
    node.host.onExec = () => Promise.reject(new Error("no such luck"));
    const pod = await running(probed({ livenessProbe: probe("live", { failureThreshold: 1, periodSeconds: 1 }) }));
    await pass(3);
    expect(messages("Unhealthy")[0]).toBe("Liveness probe errored and resulted in unknown state: no such luck");
    expect(statusOf(pod)).toMatchObject({ ready: true, restartCount: 0 });
  });

  test("that takes longer than its timeout has failed, and its command is ended", async () => {
    let ended = false;
    node.host.onExec = (_id, _argv, signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          ended = true;
          resolve({ exitCode: 137 });
        });
      });
    await running(probed({ livenessProbe: probe("live", { timeoutSeconds: 2, failureThreshold: 1 }) }));
    await pass(2);
    expect(ended).toBe(true);
    expect(messages("Unhealthy")).toEqual(['Liveness probe failed: command timed out: "live" timed out after 2s']);
  });
});

describe("a startup probe", () => {
  const startupProbe = probe("up", { periodSeconds: 1, failureThreshold: 3 });

  test("holds the other probes back until it has succeeded, and is not made again", async () => {
    sick.add("up");
    const pod = await running(probed({ startupProbe, livenessProbe: probe("live"), readinessProbe: probe("ready") }));
    await pass(1);
    expect(node.host.execs).toEqual(["main#0 up", "main#0 up"]);
    expect(statusOf(pod)).toMatchObject({ started: false, ready: false });
    sick.clear();
    await pass(1);
    expect(node.host.execs.slice(2)).toEqual(["main#0 up", "main#0 live", "main#0 ready"]);
    expect(statusOf(pod)).toMatchObject({ started: true, ready: true });
    await pass(5);
    expect(node.host.execs.filter((exec) => exec.endsWith("up"))).toHaveLength(3);
  });

  test("that never succeeds has its container started anew", async () => {
    sick.add("up");
    const pod = await running(probed({ startupProbe }));
    await pass(2);
    await until(() => statusOf(pod)?.restartCount === 1);
    expect(messages("Killing")).toEqual(["Container main failed startup probe, will be restarted"]);
  });

  test("of a sidecar holds up what comes behind it", async () => {
    sick.add("up");
    const sidecar = { name: "proxy", restartPolicy: "Always", startupProbe };
    const pod = makePod({ initContainers: [sidecar, { name: "setup", command: ["exit", "0"] }] });
    node.provider.create(pod);
    await until(() => statusOf(pod, "proxy")?.state?.running !== undefined);
    await pass(1);
    expect(node.host.starts).toEqual(["proxy#0"]);
    sick.clear();
    await pass(1);
    await until(() => statusOf(pod)?.state?.running !== undefined);
    expect(node.host.starts).toEqual(["proxy#0", "setup#0", "main#0"]);
  });

  test("that succeeded is not asked again by the next agent, though the cluster has not said so", async () => {
    const pod = await running(probed({ startupProbe, livenessProbe: probe("live") }));
    await turns();
    node.host.execs.length = 0;
    sick.add("up");
    await node.restart();
    await pass(12);
    expect(new Set(node.host.execs)).toEqual(new Set(["main#0 live"]));
    node.provider.create(pod);
    await turns();
    expect(statusOf(pod)).toMatchObject({ started: true, ready: true });
  });
});

test("a container that was ready stays so over a restart of the agent, until its probe says otherwise", async () => {
  const pod = await running(probed({ readinessProbe: probe("ready", { failureThreshold: 2 }) }));
  await until(() => statusOf(pod)?.ready === true);
  const { status } = node.updatesOf(pod).at(-1)!;
  await node.restart();
  node.updates.length = 0;
  sick.add("ready");
  node.provider.create({ ...pod, status });
  await pass(10);
  expect(statusOf(pod)).toMatchObject({ ready: true });
  await pass(10);
  expect(statusOf(pod)).toMatchObject({ ready: false });
  expect(node.updatesOf(pod).map((update) => update.status.containerStatuses?.[0]?.ready)).not.toContain(undefined);
});

test("a pod that is over is not probed any more", async () => {
  const pod = await running(probed({ livenessProbe: probe("live") }, { restartPolicy: "Never" }));
  await turns();
  node.host.exit("main", 0);
  await until(() => node.said(pod).startsWith("Succeeded"));
  const before = node.host.execs.length;
  await pass(30);
  expect(node.host.execs).toHaveLength(before);
});

test("a probe that is due every 0 seconds, and one without a command, do no harm", async () => {
  const readinessProbe = { exec: {}, periodSeconds: 1 };
  await running(probed({ livenessProbe: probe("live", { periodSeconds: 0, timeoutSeconds: -1 }), readinessProbe }));
  await pass(20);
  expect(node.host.execs).toEqual(Array(3).fill("main#0 live"));
  expect(messages("Unhealthy")[0]).toMatch(/^Readiness probe errored .*no command/);
});

test("probes go on after the clock was set back an hour", async () => {
  await running(probed({ livenessProbe: probe("live") }));
  await pass(10);
  clock.setBack(3_600_000);
  node.host.execs.length = 0;
  await pass(30);
  expect(node.host.execs.length).toBeGreaterThanOrEqual(2);
});
