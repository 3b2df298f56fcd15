import { describe, expect, test } from "vitest";
import type { PodStatus } from "../../kube/types.ts";
import { computePodActions } from "./actions.ts";
import { computePodStatus } from "./status.ts";
import { t0, type ViewTable, viewOf } from "./testing.ts";

function statusOf(table: ViewTable, previous: PodStatus["conditions"] = []): PodStatus {
  const view = viewOf(table);
  return computePodStatus(view, computePodActions(view), { hostIP: "10.1.2.3", previous });
}

const never = { restartPolicy: "Never" };
const deleted = { ending: { cause: "deleted" as const, killAt: t0 } };
const finished = { ending: { cause: "finished" as const, killAt: t0 } };
const setup = { name: "setup" };

const phases: Record<string, [ViewTable, string]> = {
  "Pending while volumes are laid": [{ view: { ready: false } }, "Pending"],
  "Pending while an init container runs": [{ init: [setup], have: { setup: ["running"] } }, "Pending"],
  "Pending while one of two containers has never run": [
    { main: [{ name: "a" }, { name: "b" }], have: { a: ["running"] } },
    "Pending",
  ],
  "Running with a running container": [{ have: { main: ["running"] } }, "Running"],
  "Running though one of two has failed for good": [
    { spec: never, main: [{ name: "a" }, { name: "b" }], have: { a: ["exit 1"], b: ["running"] } },
    "Running",
  ],
  "Running while a restart waits for its back-off": [
    {
      have: { main: ["exit 1 at 58"] },
      containers: { main: { backoff: { delayMs: 10_000, updatedAt: t0 } } },
    },
    "Running",
  ],
  "Succeeded when all containers did": [{ spec: never, have: { main: ["exit 0"] }, view: finished }, "Succeeded"],
  "Failed when one container failed": [
    { spec: never, main: [{ name: "a" }, { name: "b" }], have: { a: ["exit 1"], b: ["exit 0"] }, view: finished },
    "Failed",
  ],
  "Failed when an init container failed under Never": [
    { spec: never, init: [setup], have: { setup: ["exit 1"] }, view: finished },
    "Failed",
  ],
  "Failed when the node ended the pod, whatever its containers say": [
    { have: { main: ["exit 0"] }, view: { ending: { cause: "deadline", killAt: t0, reason: "DeadlineExceeded" } } },
    "Failed",
  ],
  "Succeeded when a deleted pod's containers ended with 0, under Always too": [
    { have: { main: ["exit 0"] }, view: deleted },
    "Succeeded",
  ],
  "Failed when a pod was deleted before it ran": [{ view: deleted }, "Failed"],
};

describe("the phase is", () => {
  test.each(Object.entries(phases))("%s", (_name, [table, phase]) => {
    expect(statusOf(table).phase).toBe(phase);
  });
});

describe("a container's state", () => {
  const stateOf = (table: ViewTable) => {
    const [status] = statusOf(table).containerStatuses ?? [];
    return { state: status?.state, last: status?.lastState, restarts: status?.restartCount, ready: status?.ready };
  };

  test("running says since when", () => {
    expect(stateOf({ have: { main: ["running since 30"] } })).toEqual({
      state: { running: { startedAt: "2026-01-01T00:00:30Z" } },
      last: {},
      restarts: 0,
      ready: true,
    });
  });

  test("terminated has the exact code, the reason and both times", () => {
    expect(stateOf({ spec: never, have: { main: ["exit 3 at 20 started 5"] }, view: finished }).state).toEqual({
      terminated: {
        exitCode: 3,
        reason: "Error",
        startedAt: "2026-01-01T00:00:05Z",
        finishedAt: "2026-01-01T00:00:20Z",
        containerID: "process://uid-1/main/0",
      },
    });
  });

  test("a restarted container's last state is its exit before", () => {
    const { state, last, restarts } = stateOf({ have: { main: ["exit 3 at 20", "running since 21"] } });
    expect(state?.running).toBeDefined();
    expect(last?.terminated?.exitCode).toBe(3);
    expect(restarts).toBe(1);
  });

  test("CrashLoopBackOff names the delay, the container and the pod as the kubelet does", () => {
    const { state, last } = stateOf({
      have: { main: ["exit 1 at 20", "exit 1 at 58"] },
      containers: { main: { backoff: { delayMs: 160_000, updatedAt: t0 + 20_000 } } },
    });
    expect(state?.waiting).toEqual({
      reason: "CrashLoopBackOff",
      message: "back-off 2m40s restarting failed container=main pod=p_default(uid-1)",
    });
    expect(last?.terminated?.exitCode).toBe(1);
  });

  test.each<[string, ViewTable, string, string | undefined]>([
    ["ContainerCreating before anything", {}, "ContainerCreating", undefined],
    ["PodInitializing while init containers run", { init: [setup] }, "PodInitializing", undefined],
    [
      "what the volumes wait for",
      {
        view: { ready: false, setupProblem: { reason: "ContainerCreating", message: 'configmap "c" not found' } },
      },
      "ContainerCreating",
      'configmap "c" not found',
    ],
    [
      "why it could not be created",
      { containers: { main: { problem: { reason: "ErrImagePull", message: "no image", tries: 1, retryAt: t0 * 2 } } } },
      "ErrImagePull",
      "no image",
    ],
  ])("waiting says %s", (_name, table, reason, message) => {
    expect(stateOf(table).state?.waiting).toEqual({ reason, ...(message && { message }) });
  });

  test("an init container that waits for its turn says PodInitializing, too", () => {
    const status = statusOf({ init: [{ name: "one" }, { name: "two" }], have: { one: ["exit 1"] } });
    const waiting = (status.initContainerStatuses ?? []).map(({ state }) => state?.waiting?.reason);
    expect(waiting[1]).toBe("PodInitializing");
  });

  test("a container that never ran in a pod that is over is reported 137 ContainerStatusUnknown", () => {
    expect(stateOf({ view: deleted }).state?.terminated).toMatchObject({
      exitCode: 137,
      reason: "ContainerStatusUnknown",
    });
  });
});

describe("a container that never ran in a pod that is over", () => {
  const unknown = "ContainerStatusUnknown";
  const waits = "PodInitializing";
  test.each<[string, ViewTable, Record<string, string>]>([
    ["has an end that nobody knows where there are no init containers", {}, { main: unknown }],
    [
      "had no turn where an init container did not come to its end",
      { have: { one: ["exit 1"] } },
      { two: waits, main: waits },
    ],
    [
      "has an unknown end as the first init container, though it never started",
      {},
      { one: unknown, two: waits, main: waits },
    ],
    [
      "has an unknown end where the init containers succeeded",
      { have: { one: ["exit 0"], two: ["exit 0"] } },
      { main: unknown },
    ],
  ])("%s", (_name, table, expected) => {
    const init = "one" in expected || table.have ? [{ name: "one" }, { name: "two" }] : [];
    const status = statusOf({ spec: never, init, ...table, view: deleted });
    const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
    const said = all.map(({ name, state }) => [name, state?.terminated?.reason ?? state?.waiting?.reason]);
    expect(Object.fromEntries(said)).toMatchObject(expected);
  });
});

describe("conditions", () => {
  const conditionsOf = (table: ViewTable, previous: PodStatus["conditions"] = []) =>
    Object.fromEntries((statusOf(table, previous).conditions ?? []).map((c) => [c.type, c]));

  test("a running pod is ready", () => {
    const { Ready, ContainersReady, Initialized } = conditionsOf({ have: { main: ["running"] } });
    expect([Ready?.status, ContainersReady?.status, Initialized?.status]).toEqual(["True", "True", "True"]);
  });

  test("readiness gates that others have not set hold Ready back, and only Ready", () => {
    const table = { spec: { readinessGates: [{ conditionType: "example.com/gate" }] }, have: { main: ["running"] } };
    const { Ready, ContainersReady } = conditionsOf(table);
    expect(ContainersReady?.status).toBe("True");
    expect(Ready).toMatchObject({
      status: "False",
      reason: "ReadinessGatesNotReady",
      message: 'corresponding condition of pod readiness gate "example.com/gate" does not exist.',
    });
    const open = { ...table, status: { conditions: [{ type: "example.com/gate", status: "True" }] } };
    expect(conditionsOf(open).Ready?.status).toBe("True");
  });

  test("a succeeded pod is not ready because it is completed", () => {
    const { Ready, Initialized } = conditionsOf({ spec: never, have: { main: ["exit 0"] }, view: finished });
    expect(Ready).toMatchObject({ status: "False", reason: "PodCompleted" });
    expect(Initialized?.status).toBe("True");
  });

  test("a sidecar that is down is named, and the pod is not ready", () => {
    const proxy = { name: "proxy", restartPolicy: "Always" };
    const down = { init: [proxy], have: { proxy: ["running", "exit 1 at 58"], main: ["running"] } };
    const waiting = { containers: { proxy: { backoff: { delayMs: 10_000, updatedAt: t0 } } } };
    const ready = (table: ViewTable) => statusOf(table).conditions?.find((c) => c.type === "ContainersReady");
    expect(ready({ ...down, ...waiting })).toMatchObject({
      status: "False",
      message: "containers with unready status: [proxy]",
    });
    expect(ready({ ...down, have: { proxy: ["running"], main: ["running"] } })).toMatchObject({ status: "True" });
  });

  test("a sidecar that runs is not among the containers that keep the pod from being initialized", () => {
    const proxy = { name: "proxy", restartPolicy: "Always" };
    const { conditions } = statusOf({ init: [proxy, setup], have: { proxy: ["running"], setup: ["running"] } });
    expect(conditions?.find((c) => c.type === "Initialized")?.message).toBe(
      "containers with incomplete status: [setup]",
    );
  });

  test("a pod in which something runs stays set up, while it ends and while a new agent lays its volumes again", () => {
    const isSetUp = (table: ViewTable) =>
      statusOf(table).conditions?.find((c) => c.type === "PodReadyToStartContainers")?.status;
    const ending = { cause: "deleted" as const, killAt: t0 + 90_000 };
    expect(isSetUp({ have: { main: ["running"] }, view: { ending } })).toBe("True");
    expect(isSetUp({ have: { main: ["running"] }, view: { ready: false } })).toBe("True");
    expect(isSetUp({ view: { ready: false } })).toBe("False");
    expect(isSetUp({ have: { main: ["exit 0"] }, view: finished })).toBe("False");
  });

  test("an unfinished init container is named", () => {
    expect(conditionsOf({ init: [setup], have: { setup: ["running"] } }).Initialized).toMatchObject({
      status: "False",
      reason: "ContainersNotInitialized",
      message: "containers with incomplete status: [setup]",
    });
  });

  test("the transition time changes with the status and not otherwise", () => {
    const earlier = "2025-12-31T00:00:00Z";
    const { Ready, Initialized } = conditionsOf({ have: { main: ["running"] }, now: 60 }, [
      { type: "Ready", status: "False", lastTransitionTime: earlier },
      { type: "Initialized", status: "True", lastTransitionTime: earlier },
    ]);
    expect(Ready?.lastTransitionTime).toBe("2026-01-01T00:01:00Z");
    expect(Initialized?.lastTransitionTime).toBe(earlier);
  });
});
