import { describe, expect, it } from "vitest";
import type { ContainerState, ContainerStatus, Pod, PodStatus } from "../../kube/types.ts";
import { age, humanDuration } from "./duration.ts";
import { type PodSummary, podSummary } from "./pods.ts";

const now = Date.parse("2026-01-01T01:00:00Z");
const running = { running: { startedAt: "2026-01-01T00:00:00Z" } };
const done = { terminated: { exitCode: 0, reason: "Completed" } };

function container(name: string, state: ContainerState, more: Partial<ContainerStatus> = {}): ContainerStatus {
  return { name, image: "x", imageID: "", ready: false, restartCount: 0, state, ...more };
}

function pod(status: PodStatus, more: { inits?: object[]; deleted?: boolean; containers?: number } = {}): Pod {
  const containers = Array.from({ length: more.containers ?? 1 }, (_, i) => ({ name: `c${i}` }));
  return {
    metadata: { name: "p", ...(more.deleted ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}) },
    spec: { containers, ...(more.inits ? { initContainers: more.inits as { name: string }[] } : {}) },
    status,
  };
}

describe("what kubectl get pods says of", () => {
  it.each<[string, Pod, Partial<PodSummary>]>([
    ["a pod without a node", pod({ phase: "Pending" }), { ready: "0/1", status: "Pending", restarts: "0" }],
    [
      "a running pod",
      pod({ phase: "Running", containerStatuses: [container("c0", running, { ready: true })] }),
      { ready: "1/1", status: "Running" },
    ],
    [
      "a pod that waits",
      pod({ phase: "Pending", containerStatuses: [container("c0", { waiting: { reason: "ContainerCreating" } })] }),
      { status: "ContainerCreating" },
    ],
    [
      "a completed pod",
      pod({ phase: "Succeeded", containerStatuses: [container("c0", done)] }),
      { ready: "0/1", status: "Completed" },
    ],
    [
      "an exit without a reason",
      pod({ phase: "Failed", containerStatuses: [container("c0", { terminated: { exitCode: 3 } })] }),
      { status: "ExitCode:3" },
    ],
    [
      "a signal without a reason",
      pod({ phase: "Failed", containerStatuses: [container("c0", { terminated: { exitCode: 137, signal: 9 } })] }),
      { status: "Signal:9" },
    ],
    [
      "a pod of which one container has completed",
      pod(
        {
          phase: "Running",
          conditions: [{ type: "Ready", status: "True" }],
          containerStatuses: [container("c0", done), container("c1", running, { ready: true })],
        },
        { containers: 2 },
      ),
      { ready: "1/2", status: "Running" },
    ],
    [
      "the same before it is ready",
      pod(
        { phase: "Running", containerStatuses: [container("c0", done), container("c1", running, { ready: true })] },
        { containers: 2 },
      ),
      { status: "NotReady" },
    ],
    [
      "a pod that is being deleted",
      pod({ phase: "Running", containerStatuses: [container("c0", running, { ready: true })] }, { deleted: true }),
      { status: "Terminating" },
    ],
    [
      "a pod that had ended before it was deleted",
      pod({ phase: "Failed", reason: "Evicted" }, { deleted: true }),
      { status: "Evicted" },
    ],
    [
      "a pod whose node is lost",
      pod({ phase: "Running", reason: "NodeLost" }, { deleted: true }),
      { status: "Unknown" },
    ],
    [
      "a gated pod",
      pod({ phase: "Pending", conditions: [{ type: "PodScheduled", status: "False", reason: "SchedulingGated" }] }),
      { status: "SchedulingGated" },
    ],
    [
      "init containers under way",
      pod(
        { phase: "Pending", initContainerStatuses: [container("i0", done), container("i1", running)] },
        { inits: [{ name: "i0" }, { name: "i1" }] },
      ),
      { status: "Init:1/2" },
    ],
    [
      "an init container that failed",
      pod(
        {
          phase: "Pending",
          initContainerStatuses: [container("i0", { terminated: { exitCode: 1, reason: "Error" } })],
        },
        { inits: [{ name: "i0" }] },
      ),
      { status: "Init:Error" },
    ],
    [
      "an init container that backs off",
      pod(
        {
          phase: "Pending",
          initContainerStatuses: [container("i0", { waiting: { reason: "CrashLoopBackOff" } }, { restartCount: 2 })],
        },
        { inits: [{ name: "i0" }] },
      ),
      { status: "Init:CrashLoopBackOff", restarts: "2" },
    ],
    [
      "a sidecar that is up",
      pod(
        {
          phase: "Running",
          initContainerStatuses: [container("s", running, { ready: true, started: true, restartCount: 1 })],
          containerStatuses: [container("c0", running, { ready: true })],
        },
        { inits: [{ name: "s", restartPolicy: "Always" }] },
      ),
      { ready: "2/2", status: "Running", restarts: "1" },
    ],
    [
      "restarts, and when the last one was",
      pod({
        phase: "Running",
        containerStatuses: [
          container("c0", running, {
            ready: true,
            restartCount: 3,
            lastState: { terminated: { exitCode: 1, finishedAt: "2026-01-01T00:30:00Z" } },
          }),
        ],
      }),
      { restarts: "3 (30m ago)" },
    ],
  ])("%s", (_name, of, expected) => {
    expect(podSummary(of, now)).toMatchObject(expected);
  });
});

it.each([
  [0, "0s"],
  [119, "119s"],
  [120, "2m"],
  [125, "2m5s"],
  [600, "10m"],
  [10_799, "179m"],
  [10_800, "3h"],
  [11_000, "3h3m"],
  [3600 * 9, "9h"],
  [3600 * 49, "2d1h"],
  [3600 * 24 * 9, "9d"],
  [3600 * 24 * 365 * 2, "2y"],
  [3600 * 24 * 365 * 9, "9y"],
])("%d seconds are %s", (seconds, expected) => {
  expect(humanDuration(seconds * 1000)).toBe(expected);
});

it("an age without a time is unknown", () => {
  expect(age(undefined, now)).toBe("<unknown>");
});
