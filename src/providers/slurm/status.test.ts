import { describe, expect, it } from "vitest";
import type { Pod, PodStatus } from "../../kube/types.ts";
import type { JobMessage } from "./files.ts";
import { verdictOf } from "./states.ts";
import { type SlurmPodView, slurmPodStatus } from "./status.ts";

const now = Date.parse("2026-01-01T00:01:00Z");
const startedAt = Date.parse("2026-01-01T00:00:00Z");
const pod: Pod = {
  metadata: { namespace: "default", name: "p", uid: "u1" },
  spec: { containers: [{ name: "main" }, { name: "other" }], initContainers: [{ name: "init" }] },
};

function view(changes: Partial<SlurmPodView>): SlurmPodView {
  return { pod, now, startedAt, previous: [], ...changes };
}

function message(changes: Partial<JobMessage>, main: object, other: object = { running: {} }): JobMessage {
  const of = (name: string, state: object) => ({ name, image: "", imageID: "", restartCount: 2, ready: true, state });
  const status: PodStatus = {
    phase: "Running",
    hostIP: "10.0.0.1",
    conditions: [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:30Z" }],
    initContainerStatuses: [of("init", { terminated: { exitCode: 0, reason: "Completed" } })],
    containerStatuses: [of("main", main), of("other", other)],
  };
  return { version: 1, jobId: 7, host: "n1", status, over: false, events: [], ...changes };
}

const job = (state: string) => verdictOf({ id: 7, state, reason: "None" });
const running = { running: { startedAt: "2026-01-01T00:00:30Z" } };

describe("before the job runs", () => {
  it("the pod waits, for the reason that Slurm gives", () => {
    const status = slurmPodStatus(view({ verdict: verdictOf({ id: 7, state: "PENDING", reason: "Priority" }) }));
    expect(status).toMatchObject({ phase: "Pending", startTime: "2026-01-01T00:00:00Z" });
    expect(status.containerStatuses?.map(({ state }) => state)).toEqual(
      Array(2).fill({ waiting: { reason: "InSlurmQueue", message: "Priority" } }),
    );
    expect(status.conditions).toContainEqual(
      expect.objectContaining({ type: "Ready", status: "False", reason: "InSlurmQueue", message: "Priority" }),
    );
  });

  it("a pod that Slurm refuses is Failed, with Slurm's words", () => {
    const status = slurmPodStatus(
      view({ refused: { reason: "SlurmSubmitRefused", message: "Invalid qos specification" } }),
    );
    expect(status).toMatchObject({
      phase: "Failed",
      reason: "SlurmSubmitRefused",
      message: "Invalid qos specification",
    });
    expect(status.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(128);
  });
});

describe("while the job runs", () => {
  it("the status is the job's own", () => {
    const told = message({}, running);
    expect(slurmPodStatus(view({ message: told, verdict: job("RUNNING") }))).toEqual(told.status);
  });

  it("a suspended one is not ready, and runs", () => {
    const status = slurmPodStatus(view({ message: message({}, running), verdict: job("SUSPENDED") }));
    expect(status.phase).toBe("Running");
    expect(status.conditions).toContainEqual(
      expect.objectContaining({ type: "Ready", status: "False", reason: "SlurmJobSuspended" }),
    );
  });
});

describe("when the job is over without a last word", () => {
  it("what ran is told to have ended as Slurm says; what had ended keeps its own end", () => {
    const ended = { terminated: { exitCode: 0, reason: "Completed", finishedAt: "2026-01-01T00:00:40Z" } };
    const status = slurmPodStatus(view({ message: message({}, running, ended), verdict: job("NODE_FAIL") }));
    expect(status).toMatchObject({ phase: "Failed", reason: "SlurmNodeFail", hostIP: "10.0.0.1" });
    expect(status.containerStatuses).toMatchObject([
      {
        name: "main",
        restartCount: 2,
        ready: false,
        state: { terminated: { exitCode: 137, reason: "SlurmNodeFail", startedAt: "2026-01-01T00:00:30Z" } },
      },
      { name: "other", state: ended },
    ]);
    expect(status.conditions).toContainEqual(expect.objectContaining({ type: "DisruptionTarget", status: "True" }));
  });

  it("a pod that never began has no container that ran", () => {
    const status = slurmPodStatus(view({ verdict: job("BOOT_FAIL") }));
    expect(status.initContainerStatuses?.[0]?.state).toEqual({ waiting: { reason: "PodInitializing" } });
    expect(status.containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 128, reason: "SlurmBootFail" });
  });

  it("an eviction gives its own reason", () => {
    const evicted = { reason: "Terminated", message: "walltime", gracePeriodSeconds: 0 };
    const status = slurmPodStatus(view({ message: message({}, running), verdict: job("CANCELLED"), evicted }));
    expect(status).toMatchObject({ phase: "Failed", reason: "Terminated", message: "walltime" });
  });
});

describe("when the job came to its end", () => {
  const terminated = (exitCode: number, finishedAt: string) => ({
    terminated: { exitCode, reason: "Error", finishedAt },
  });

  it("it has the last word", () => {
    const told = message({ over: true }, terminated(3, "2026-01-01T00:00:40Z"), terminated(0, "2026-01-01T00:00:40Z"));
    expect(slurmPodStatus(view({ message: told, verdict: job("FAILED") }))).toEqual(told.status);
  });

  it("but what Slurm ended gets Slurm's reason, and no exit code 0", () => {
    const interruptedAt = Date.parse("2026-01-01T00:00:50Z");
    const told = message(
      { over: true, interruptedAt },
      terminated(0, "2026-01-01T00:00:51Z"),
      terminated(3, "2026-01-01T00:00:40Z"),
    );
    const status = slurmPodStatus(view({ message: told, verdict: job("TIMEOUT") }));
    expect(status).toMatchObject({ phase: "Failed", reason: "SlurmJobTimeout" });
    expect(status.containerStatuses?.map(({ state }) => state?.terminated)).toMatchObject([
      { exitCode: 137, reason: "SlurmJobTimeout" },
      { exitCode: 3, reason: "Error" },
    ]);
  });

  it("and a SIGKILL in a job that ran out of memory is OOMKilled", () => {
    const told = message(
      { over: true },
      terminated(137, "2026-01-01T00:00:40Z"),
      terminated(1, "2026-01-01T00:00:40Z"),
    );
    const status = slurmPodStatus(view({ message: told, verdict: job("OUT_OF_MEMORY") }));
    expect(status.containerStatuses?.map(({ state }) => state?.terminated?.reason)).toEqual(["OOMKilled", "Error"]);
  });
});
