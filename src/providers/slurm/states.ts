/** What Slurm says of a job. */
export interface SlurmJob {
  id: number;
  /** The long word in capitals: PENDING, RUNNING, OUT_OF_MEMORY, ... */
  state: string;
  /** Why it pends, or why it ended so; `None` where there is nothing to say. */
  reason: string;
  /** CANCELLED: the numeric id of who did it, where accounting knows. */
  cancelledBy?: number;
  /** `exit:signal` of the batch script, where it is known. */
  exitCode?: number;
}

/** What a job's state means for its pod. */
export type JobVerdict =
  | { kind: "waiting"; reason: string; message: string }
  | { kind: "active" }
  | { kind: "suspended"; reason: string; message: string }
  | {
      kind: "over";
      /** Of a container that had not ended by itself. Never 0. */
      exitCode: number;
      reason: string;
      message: string;
      /** The pod was not at fault: its controller may try again elsewhere. */
      disruption?: string;
      /** The core in the job ended by itself, and so its last word must be there, or will be. */
      byItself?: true;
    };

/** What Slurm's short reasons mean to somebody who does not know them. */
const pendingReasons: Record<string, string> = {
  JobHeldUser: "held by its user; scontrol release",
  JobHeldAdmin: "held by an administrator",
  PartitionTimeLimit: "its time limit is longer than the partition allows; it will not start",
  PartitionNodeLimit: "it asks for more nodes than the partition has; it will not start",
  ReqNodeNotAvail: "a node that it needs is down or reserved",
  DependencyNeverSatisfied: "what it depends on did not end as required; it will not start",
  BadConstraints: "its constraints can't be met; it will not start",
  AssocGrpCPUMinutesLimit: "the account's CPU minutes are used up",
  AssocGrpBillingMinutes: "the account's budget is used up",
  QOSMaxJobsPerUserLimit: "the QOS lets a user run no more jobs at a time",
  QOSMaxCpuPerUserLimit: "the QOS gives a user no more CPUs at a time",
};

const active = new Set(["RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "RESIZING"]);
const requeued = new Set(["REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"]);

interface End {
  exitCode: number;
  reason: string;
  message: string;
  disruption?: string;
}

/** 137 where the end was Slurm's SIGKILL, or can't be known. */
const ends: Record<string, End> = {
  BOOT_FAIL: { exitCode: 128, reason: "SlurmBootFail", message: "the nodes of the job could not be booted" },
  DEADLINE: { exitCode: 137, reason: "SlurmDeadline", message: "the job could not be over by its --deadline" },
  LAUNCH_FAILED: { exitCode: 128, reason: "SlurmLaunchFailed", message: "Slurm could not launch the job" },
  NODE_FAIL: {
    exitCode: 137,
    reason: "SlurmNodeFail",
    message: "a node of the job failed",
    disruption: "TerminationByKubelet",
  },
  OUT_OF_MEMORY: { exitCode: 137, reason: "OOMKilled", message: "the job used more memory than it had" },
  PREEMPTED: {
    exitCode: 137,
    reason: "SlurmPreempted",
    message: "the job had to make room for one of higher priority",
    disruption: "PreemptionByScheduler",
  },
  RECONFIG_FAIL: {
    exitCode: 128,
    reason: "SlurmReconfigFail",
    message: "the nodes of the job could not be configured",
  },
  REVOKED: { exitCode: 137, reason: "SlurmRevoked", message: "the job was taken over by another cluster" },
  TIMEOUT: { exitCode: 137, reason: "SlurmJobTimeout", message: "the job reached its time limit" },
};

/** Pure. A state of a newer Slurm than this table counts as one of a job that lives. */
export function verdictOf(job: SlurmJob): JobVerdict {
  const { state, reason } = job;
  if (state === "PENDING") return { kind: "waiting", reason: "InSlurmQueue", message: pendingMessage(reason) };
  if (state === "CONFIGURING") {
    return { kind: "waiting", reason: "InSlurmQueue", message: "Configuring: its nodes are being made ready" };
  }
  if (requeued.has(state)) return { kind: "waiting", reason: "InSlurmQueue", message: `${state}: ${reason}` };
  if (state === "SUSPENDED" || state === "STOPPED") {
    return { kind: "suspended", reason: "SlurmJobSuspended", message: `job ${job.id} is suspended` };
  }
  if (active.has(state)) return { kind: "active" };
  if (state === "CANCELLED") return { kind: "over", ...cancelled(job) };
  if (state === "COMPLETED" || state === "FAILED") return { kind: "over", ...endedByItself(job), byItself: true };
  const end = ends[state];
  if (!end) return { kind: "active" };
  return { kind: "over", ...end, message: withDetail(`${end.message} (job ${job.id}, ${state})`, reason, state) };
}

function pendingMessage(reason: string): string {
  // Some come with what they are about behind a comma: "ReqNodeNotAvail, UnavailableNodes:n1".
  const known = pendingReasons[reason.split(",")[0]!.trim()];
  if (known) return `${reason}: ${known}`;
  return reason === "None" || reason === "" ? "Slurm has not looked at the job yet" : reason;
}

function cancelled({ id, cancelledBy }: SlurmJob): End {
  const by = cancelledBy === undefined ? "" : ` by user ${cancelledBy}`;
  return { exitCode: 137, reason: "SlurmJobCancelled", message: `job ${id} was cancelled${by}` };
}

function endedByItself({ id, state, exitCode, reason }: SlurmJob): End {
  const code = exitCode === undefined || exitCode === 0 ? 137 : exitCode;
  const message = `job ${id} ended (${state}, exit code ${exitCode ?? "unknown"}), and nothing tells how its containers did`;
  return { exitCode: code, reason: "ContainerStatusUnknown", message: withDetail(message, reason, state) };
}

function withDetail(message: string, reason: string, state: string): string {
  const says = reason.replaceAll(/[ _]/g, "").toLowerCase();
  if (says === "" || says === "none" || state.replaceAll("_", "").toLowerCase().startsWith(says)) return message;
  return `${message}: ${reason}`;
}

/** Of a job that neither squeue nor accounting knows, and that left no word. */
export function lostVerdict(id: number | undefined): JobVerdict & { kind: "over" } {
  const job = id === undefined ? "the job" : `job ${id}`;
  return {
    kind: "over",
    exitCode: 137,
    reason: "ContainerStatusUnknown",
    message: `Slurm no longer knows ${job}, and nothing tells how its containers ended`,
    byItself: true,
  };
}
