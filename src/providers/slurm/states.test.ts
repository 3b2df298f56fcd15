import { describe, expect, it } from "vitest";
import { parseSacct, parseSqueue } from "./queue.ts";
import { refusalOf } from "./refusals.ts";
import { verdictOf } from "./states.ts";

const job = (state: string, reason = "None") => ({ id: 7, state, reason });

describe("what a job's state means for its pod", () => {
  it.each([
    ["PENDING", "Priority", "Priority"],
    ["PENDING", "Resources", "Resources"],
    ["PENDING", "None", "Slurm has not looked at the job yet"],
    [
      "PENDING",
      "PartitionTimeLimit",
      "PartitionTimeLimit: its time limit is longer than the partition allows; it will not start",
    ],
    ["PENDING", "JobHeldUser", "JobHeldUser: held by its user; scontrol release"],
    [
      "PENDING",
      "ReqNodeNotAvail, UnavailableNodes:n1",
      "ReqNodeNotAvail, UnavailableNodes:n1: a node that it needs is down or reserved",
    ],
    ["CONFIGURING", "None", "Configuring: its nodes are being made ready"],
    ["REQUEUED", "BeginTime", "REQUEUED: BeginTime"],
  ])("%s (%s): it waits in Slurm's queue, because %s", (state, reason, message) => {
    expect(verdictOf(job(state, reason))).toEqual({ kind: "waiting", reason: "InSlurmQueue", message });
  });

  it.each(["RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "RESIZING", "SOME_NEW_STATE"])(
    "%s: it lives",
    (state) => {
      expect(verdictOf(job(state)).kind).toBe("active");
    },
  );

  it("SUSPENDED: it lives, and is not ready", () => {
    expect(verdictOf(job("SUSPENDED"))).toMatchObject({ kind: "suspended", reason: "SlurmJobSuspended" });
  });

  it.each([
    ["TIMEOUT", "TimeLimit", "SlurmJobTimeout", 137],
    ["OUT_OF_MEMORY", "OutOfMemory", "OOMKilled", 137],
    ["NODE_FAIL", "NodeDown", "SlurmNodeFail", 137],
    ["PREEMPTED", "None", "SlurmPreempted", 137],
    ["CANCELLED", "None", "SlurmJobCancelled", 137],
    ["BOOT_FAIL", "None", "SlurmBootFail", 128],
    ["DEADLINE", "None", "SlurmDeadline", 137],
    ["REVOKED", "None", "SlurmRevoked", 137],
    ["LAUNCH_FAILED", "None", "SlurmLaunchFailed", 128],
    ["COMPLETED", "None", "ContainerStatusUnknown", 137],
    ["FAILED", "NonZeroExitCode", "ContainerStatusUnknown", 137],
  ])("%s (%s): what had not ended by itself ended as %s with exit code %i", (state, reason, name, exitCode) => {
    const verdict = verdictOf(job(state, reason));
    expect(verdict).toMatchObject({ kind: "over", reason: name, exitCode });
    expect(verdict.kind === "over" && verdict.message).toMatch(/job/);
  });

  it("a node's failure and preemption are nobody's fault: DisruptionTarget", () => {
    expect(verdictOf(job("NODE_FAIL"))).toMatchObject({ disruption: "TerminationByKubelet" });
    expect(verdictOf(job("PREEMPTED"))).toMatchObject({ disruption: "PreemptionByScheduler" });
    expect(verdictOf(job("TIMEOUT"))).not.toHaveProperty("disruption");
  });

  it("who cancelled it is said where accounting knows", () => {
    expect(verdictOf({ ...job("CANCELLED"), cancelledBy: 1000 })).toMatchObject({
      message: "job 7 was cancelled by user 1000",
    });
  });

  it("a core that failed keeps its exit code", () => {
    expect(verdictOf({ ...job("FAILED"), exitCode: 3 })).toMatchObject({ exitCode: 3, byItself: true });
  });
});

describe("what squeue and sacct print", () => {
  it("jobs are found by their comment, or where a site rewrites it by their name", () => {
    const text = [
      "12|PENDING|Priority|default/web.11111111-2222-4333-8444-000000000001|hostlet:11111111-2222-4333-8444-000000000001",
      "13|RUNNING|None|default/web.uid-2|changed by the site",
      "14|RUNNING|None|x|y|hostlet:uid-3",
      "15|RUNNING|None|somebody's job|",
      "16_1|RUNNING|None|default/array.uid-4|hostlet:uid-4",
      "17|RUN",
      "slurm_load_jobs error: Unable to contact slurm controller",
      "",
    ].join("\n");
    expect(parseSqueue(text).map(({ id, state, uid }) => [id, state, uid])).toEqual([
      [12, "PENDING", "11111111-2222-4333-8444-000000000001"],
      [13, "RUNNING", "uid-2"],
      [14, "RUNNING", "uid-3"],
    ]);
  });

  it("accounting says who cancelled, and how the batch script ended", () => {
    const text =
      "7|CANCELLED by 1000|0:0|None|default/a.u1|hostlet:u1\n8|FAILED|3:0|NonZeroExitCode|default/b.u2|\n9|FAILED|0:9||x|";
    expect(parseSacct(text)).toMatchObject([
      { id: 7, state: "CANCELLED", cancelledBy: 1000, uid: "u1" },
      { id: 8, state: "FAILED", exitCode: 3, uid: "u2" },
      { id: 9, exitCode: 137, uid: "" },
    ]);
  });
});

describe("what sbatch says when there is no job", () => {
  it.each([
    [
      "sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: Invalid partition name specified",
      "refused",
    ],
    ["sbatch: error: Batch job submission failed: Requested node configuration is not available", "refused"],
    [
      "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
      "refused",
    ],
    ["sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", "later"],
    ["sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", "later"],
    [
      "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
      "later",
    ],
    ["sbatch: error: QOSMaxSubmitJobPerUserLimit", "later"],
    ["sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", "lost"],
    ["sbatch did not answer in time", "lost"],
  ])("%j: %s", (stderr, kind) => {
    const refusal = refusalOf(stderr);
    expect(refusal.kind).toBe(kind);
    expect(refusal.message).not.toMatch(/^sbatch: /);
  });
});
