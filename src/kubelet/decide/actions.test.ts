import { describe, expect, test } from "vitest";
import { computePodActions } from "./actions.ts";
import { t0, type ViewTable, viewOf } from "./testing.ts";

/** The actions in words, as the tables below have them. */
function decide(table: ViewTable): string[] {
  const view = viewOf(table);
  const actions = computePodActions(view);
  return [
    ...actions.start.map((s) => `start ${s.container}#${s.attempt}`),
    ...actions.stop.map((s) => `${s.how} ${s.container}`),
    ...actions.backingOff.map((b) => `${b.container} waits until ${(b.until - t0) / 1000}`),
    ...(actions.end ? [`end: ${actions.end.cause}${actions.end.reason ? ` ${actions.end.reason}` : ""}`] : []),
    ...(actions.settled ? ["settled"] : []),
    ...(actions.wakeAt !== undefined ? [`look again at ${(actions.wakeAt - t0) / 1000}`] : []),
  ];
}

const setup = { name: "setup" };
const migrate = { name: "migrate" };
const proxy = { name: "proxy", restartPolicy: "Always" };
const ending = (cause: "deleted" | "deadline", killAt: number, force = false) => ({
  ending: { cause, killAt: t0 + killAt * 1000, ...(force && { force: true as const }) },
});
const signalled = (at: number) => ({ stop: { signalledAt: t0 + at * 1000 } });
const exec = { exec: { command: ["true"] } };
const withPreStop = { name: "main", lifecycle: { preStop: exec } };
const slow = { ...{ name: "proxy", restartPolicy: "Always" }, startupProbe: exec };
const backoff = (delay: number, updated: number) => ({ delayMs: delay * 1000, updatedAt: t0 + updated * 1000 });

const table: Record<string, [ViewTable, string[]]> = {
  "nothing starts before the volumes are laid": [{ view: { ready: false } }, []],
  "all main containers of a pod start together": [{ main: [{ name: "a" }, { name: "b" }] }, ["start a#0", "start b#0"]],
  "a container whose start is under way is not started again": [{ containers: { main: { starting: true } } }, []],
  "a running container is left alone": [{ have: { main: ["running"] } }, []],
  "the first init container starts alone": [{ init: [setup, migrate] }, ["start setup#0"]],
  "the next init container waits while the first runs": [{ init: [setup, migrate], have: { setup: ["running"] } }, []],
  "the next init container starts when the first succeeded": [
    { init: [setup, migrate], have: { setup: ["exit 0"] } },
    ["start migrate#0"],
  ],
  "main containers start when all init containers succeeded": [
    { init: [setup, migrate], have: { setup: ["exit 0"], migrate: ["exit 0"] } },
    ["start main#0"],
  ],
  "a failed init container is restarted": [{ init: [setup], have: { setup: ["exit 1"] } }, ["start setup#1"]],
  "a failed init container ends the pod under Never": [
    { spec: { restartPolicy: "Never" }, init: [setup], have: { setup: ["exit 1"] } },
    ["end: finished"],
  ],
  "init containers do not run again once a main container ran": [
    { init: [setup], have: { main: ["exit 1"], setup: [] } },
    ["start main#1"],
  ],
  "a sidecar starts in its turn among the init containers": [
    { init: [setup, proxy, migrate], have: { setup: ["exit 0"] } },
    ["start proxy#0"],
  ],
  "the init container behind a sidecar starts while it runs": [
    { init: [setup, proxy, migrate], have: { setup: ["exit 0"], proxy: ["running"] } },
    ["start migrate#0"],
  ],
  "a sidecar that ended is restarted beside the main container, even under Never": [
    { spec: { restartPolicy: "Never" }, init: [proxy], have: { proxy: ["exit 0"], main: ["running"] } },
    ["start proxy#1"],
  ],
  "a pod whose main containers are over is ended though a sidecar runs": [
    { spec: { restartPolicy: "Never" }, init: [proxy], have: { proxy: ["running"], main: ["exit 0"] } },
    ["end: finished"],
  ],
  "Always restarts a container that succeeded": [{ have: { main: ["exit 0"] } }, ["start main#1"]],
  "OnFailure restarts a container that failed": [
    { spec: { restartPolicy: "OnFailure" }, have: { main: ["exit 3"] } },
    ["start main#1"],
  ],
  "OnFailure lets a container be that succeeded": [
    { spec: { restartPolicy: "OnFailure" }, have: { main: ["exit 0"] } },
    ["end: finished"],
  ],
  "Never lets a container be that failed, and the pod goes on with the others": [
    { spec: { restartPolicy: "Never" }, main: [{ name: "a" }, { name: "b" }], have: { a: ["exit 3"], b: ["running"] } },
    [],
  ],
  "the second restart waits 10 s after the exit": [
    { have: { main: ["exit 1 at 30", "exit 1 at 58"] }, containers: { main: { backoff: backoff(10, 30) } } },
    ["main waits until 68", "look again at 68"],
  ],
  "a restart whose time has come is made": [
    { have: { main: ["exit 1 at 30", "exit 1 at 40"] }, containers: { main: { backoff: backoff(10, 30) } } },
    ["start main#2"],
  ],
  "the back-off is forgotten after ten quiet minutes": [
    { have: { main: ["exit 1 at 650"] }, now: 650, containers: { main: { backoff: backoff(300, 30) } } },
    ["start main#1"],
  ],
  "a container that could not be created is tried again when its time has come": [
    { containers: { main: { problem: { reason: "E", message: "m", tries: 1, retryAt: t0 + 60_000 } } } },
    ["start main#0"],
  ],
  "a start that failed is made again under a new number": [
    { containers: { main: { asked: 2, problem: { reason: "E", message: "m", tries: 3, retryAt: t0 } } } },
    ["start main#3"],
  ],
  "a container that could not be created waits for its next try": [
    { containers: { main: { problem: { reason: "E", message: "m", tries: 1, retryAt: t0 + 61_000 } } } },
    ["look again at 61"],
  ],
  "the deadline is looked for in time": [
    { spec: { activeDeadlineSeconds: 90 }, have: { main: ["running"] } },
    ["look again at 90"],
  ],
  "a pod that is active longer than its deadline is ended": [
    { spec: { activeDeadlineSeconds: 60 }, have: { main: ["running"] } },
    ["end: deadline DeadlineExceeded"],
  ],
  "a pod that was over before its deadline has not exceeded it": [
    { spec: { activeDeadlineSeconds: 60, restartPolicy: "Never" }, have: { main: ["exit 0 at 20"] }, now: 600 },
    ["end: finished"],
  ],
  "a pod that ends asks its containers to end, and looks again when their time is up": [
    { main: [{ name: "a" }, { name: "b" }], have: { a: ["running"], b: ["running"] }, view: ending("deleted", 90) },
    ["signal a", "signal b", "look again at 90"],
  ],
  "a container is asked once": [
    { have: { main: ["running"] }, view: ending("deleted", 90), containers: { main: signalled(60) } },
    ["look again at 90"],
  ],
  "a container that outlives its grace period is killed": [
    { have: { main: ["running"] }, view: ending("deleted", 60), containers: { main: signalled(30) } },
    ["kill main"],
  ],
  "no grace kills at once, sidecars too": [
    { init: [proxy], have: { proxy: ["running"], main: ["running"] }, view: ending("deleted", 60, true) },
    ["kill proxy", "kill main"],
  ],
  "sidecars are asked when the main containers are over": [
    { init: [proxy], have: { proxy: ["running"], main: ["running"] }, view: ending("deleted", 90) },
    ["signal main", "look again at 90"],
  ],
  "sidecars end in reverse order": [
    {
      init: [proxy, { ...proxy, name: "logger" }],
      have: { proxy: ["running"], logger: ["running"], main: ["exit 0"] },
      view: ending("deleted", 90),
    },
    ["signal logger", "look again at 90"],
  ],
  "preStop comes before the stop signal, in all containers at once": [
    {
      init: [{ ...proxy, lifecycle: { preStop: exec } }],
      main: [withPreStop],
      have: { proxy: ["running"], main: ["running"] },
      view: ending("deleted", 90),
    },
    ["preStop proxy", "preStop main", "look again at 90"],
  ],
  "the stop signal waits for preStop": [
    {
      main: [withPreStop],
      have: { main: ["running"] },
      view: ending("deleted", 90),
      containers: { main: { stop: { preStop: "running" } } },
    },
    ["look again at 90"],
  ],
  "the stop signal follows preStop": [
    {
      main: [withPreStop],
      have: { main: ["running"] },
      view: ending("deleted", 90),
      containers: { main: { stop: { preStop: "done" } } },
    },
    ["signal main", "look again at 90"],
  ],
  "a preStop that takes the whole grace period is not waited for any longer": [
    {
      main: [withPreStop],
      have: { main: ["running"] },
      view: ending("deleted", 60),
      containers: { main: { stop: { preStop: "running" } } },
    },
    ["signal main"],
  ],
  "between the stop signal and the kill are 2 s at least": [
    { have: { main: ["running"] }, view: ending("deleted", 50), containers: { main: signalled(59) } },
    ["look again at 61"],
  ],
  "no grace leaves no time for preStop": [
    { main: [withPreStop], have: { main: ["running"] }, view: ending("deleted", 60, true) },
    ["kill main"],
  ],
  "a container is killed once": [
    {
      have: { main: ["running"] },
      view: ending("deleted", 60, true),
      containers: { main: { stop: { killed: true } } },
    },
    [],
  ],
  "a sidecar whose turn never came is asked when the budget is spent, though others still run": [
    {
      init: [proxy],
      have: { proxy: ["running"], main: ["running"] },
      view: ending("deleted", 60),
      containers: { main: { stop: { killed: true } } },
    },
    ["signal proxy"],
  ],
  "a container that failed its liveness probe is asked to end, alone": [
    {
      main: [{ name: "a" }, { name: "b" }],
      have: { a: ["running"], b: ["running"] },
      containers: { a: { failed: "liveness" } },
    },
    ["signal a", "look again at 90"],
  ],
  "a probe's own grace period counts for the container that failed it": [
    {
      main: [{ name: "main", livenessProbe: { ...exec, terminationGracePeriodSeconds: 5 } }],
      have: { main: ["running"] },
      containers: { main: { failed: "liveness" } },
    },
    ["signal main", "look again at 65"],
  ],
  "a container that failed its startup probe and outlives its grace period is killed": [
    {
      have: { main: ["running"] },
      containers: { main: { failed: "startup", stop: { signalledAt: t0, killAt: t0 + 30_000 } } },
    },
    ["kill main"],
  ],
  "a container that was ended for its probe is restarted under OnFailure, whatever its exit code": [
    { spec: { restartPolicy: "OnFailure" }, have: { main: ["exit 0"] }, containers: { main: { failed: "liveness" } } },
    ["start main#1"],
  ],
  "a container that was ended for its probe is over under Never": [
    { spec: { restartPolicy: "Never" }, have: { main: ["exit 137"] }, containers: { main: { failed: "liveness" } } },
    ["end: finished"],
  ],
  "preStop runs also for a container that failed its postStart": [
    { main: [withPreStop], have: { main: ["running"] }, containers: { main: { failed: "postStart" } } },
    ["preStop main", "look again at 90"],
  ],
  "the init container behind a sidecar waits for its startup probe": [
    { init: [slow, migrate], have: { proxy: ["running"] } },
    [],
  ],
  "the init container behind a sidecar starts when its startup probe succeeded": [
    { init: [slow, migrate], have: { proxy: ["running"] }, containers: { proxy: { startup: "success" } } },
    ["start migrate#0"],
  ],
  "main containers wait for the postStart of the last sidecar": [
    { init: [proxy], have: { proxy: ["running"] }, containers: { proxy: { postStart: "running" } } },
    [],
  ],
  "a sidecar that ended holds up no init container behind it": [
    { init: [proxy, setup, migrate], have: { proxy: ["exit 1"], setup: ["exit 0"] } },
    ["start proxy#1", "start migrate#0"],
  ],
  "a sidecar in its back-off holds up no init container either": [
    {
      init: [proxy, setup, migrate],
      have: { proxy: ["exit 1 at 30", "exit 1 at 58"], setup: ["exit 0"] },
      containers: { proxy: { backoff: backoff(10, 30) } },
    },
    ["start migrate#0", "proxy waits until 68", "look again at 68"],
  ],
  "a failed init container is restarted under Always, too": [
    { spec: { restartPolicy: "Always" }, init: [setup], have: { setup: ["exit 1"] } },
    ["start setup#1"],
  ],
  "an init container that succeeded is not run again, though nothing is known of those before it": [
    { init: [setup, migrate], have: { migrate: ["exit 0"] } },
    ["start main#0"],
  ],
  "a sidecar that ends while the pod ends is not restarted": [
    {
      init: [proxy],
      have: { proxy: ["exit 1"], main: ["running"] },
      view: ending("deleted", 90),
      containers: { main: signalled(60) },
    },
    ["look again at 90"],
  ],
  "an ephemeral container starts as soon as it is there, also while init containers run": [
    { init: [setup], spec: { ephemeralContainers: [{ name: "debug" }] }, have: { setup: ["running"] } },
    ["start debug#0"],
  ],
  "an ephemeral container is never started again": [
    { spec: { ephemeralContainers: [{ name: "debug" }] }, have: { main: ["running"], debug: ["exit 1"] } },
    [],
  ],
  "an ephemeral container that is refused is not tried again": [
    {
      spec: { ephemeralContainers: [{ name: "debug" }] },
      have: { main: ["running"] },
      containers: { debug: { problem: { reason: "E", message: "m", tries: 1, retryAt: 0, final: true } } },
    },
    [],
  ],
  "a pod is over though an ephemeral container runs": [
    {
      spec: { restartPolicy: "Never", ephemeralContainers: [{ name: "debug" }] },
      have: { main: ["exit 0"], debug: ["running"] },
    },
    ["end: finished"],
  ],
  "an ephemeral container is asked to end with its pod": [
    {
      spec: { ephemeralContainers: [{ name: "debug" }] },
      have: { main: ["exit 0"], debug: ["running"] },
      view: ending("deleted", 90),
    },
    ["signal debug", "look again at 90"],
  ],
  "nothing is restarted in a pod that ends": [{ have: { main: ["exit 1"] }, view: ending("deleted", 90) }, ["settled"]],
  "a pod that ends waits for a start that is under way": [
    { containers: { main: { starting: true } }, view: ending("deleted", 60) },
    [],
  ],
  "a pod that was deleted before anything ran is settled": [{ view: ending("deleted", 90) }, ["settled"]],
};

describe("computePodActions", () => {
  test.each(Object.entries(table))("%s", (_name, [input, expected]) => {
    expect(decide(input)).toEqual(expected);
  });

  test("restarts count on from the attempt before, and double the back-off", () => {
    const view = viewOf({
      have: { main: ["exit 1 at 10", "exit 1 at 20"] },
      containers: { main: { backoff: backoff(20, 10) } },
    });
    expect(computePodActions(view).start).toEqual([
      { container: "main", attempt: 2, restartCount: 2, backoff: { delayMs: 40_000, updatedAt: t0 + 20_000 } },
    ]);
  });

  test("the grace of a pod that finished is its own terminationGracePeriodSeconds", () => {
    const view = viewOf({
      spec: { restartPolicy: "Never", terminationGracePeriodSeconds: 7 },
      have: { main: ["exit 0"] },
    });
    expect(computePodActions(view).end).toEqual({ cause: "finished", killAt: view.now + 7000 });
  });
});
