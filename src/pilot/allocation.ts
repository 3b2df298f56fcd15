/** What a batch system has given to the process that asks. What it does not say is undefined: the host counts. */
export interface Allocation {
  system: "slurm" | "pbs" | "lsf" | "htcondor";
  jobId: string;
  /** On this host. */
  cpus?: number;
  memoryBytes?: number;
  gpus?: { resource: "nvidia.com/gpu" | "amd.com/gpu"; count: number };
  /** When it ends: ms since the epoch. */
  endsAt?: number;
  /** Which of the nodes, or tasks, of the job this is, from 0. */
  rank?: number;
  partition?: string;
}

export interface AllocationInput {
  env: NodeJS.ProcessEnv;
  /** ms since the epoch: where a batch system only tells how long, not until when. */
  now: number;
  /** The host's name, short or whole. */
  hostname: string;
  /** Of a file that the environment names (HTCondor's ads); undefined where it can't be read. */
  read(path: string): string | undefined;
}

const mebibyte = 2 ** 20;

/** Pure, but for `read`. Undefined outside of any allocation. */
export function findAllocation(input: AllocationInput): Allocation | undefined {
  const { env } = input;
  if (env.SLURM_JOB_ID) return compact(slurm(env.SLURM_JOB_ID, input));
  if (env.PBS_JOBID) return compact(pbs(env.PBS_JOBID, input));
  if (env.LSB_JOBID) return compact(lsf(env.LSB_JOBID, input));
  if (env._CONDOR_JOB_AD || env._CONDOR_MACHINE_AD) return compact(htcondor(input));
  return undefined;
}

type Draft = { [K in keyof Allocation]: Allocation[K] | undefined } & Pick<Allocation, "system" | "jobId">;

function compact(draft: Draft): Allocation {
  return Object.fromEntries(Object.entries(draft).filter(([, value]) => value !== undefined)) as unknown as Allocation;
}

function slurm(jobId: string, { env }: AllocationInput): Draft {
  const cpus = positive(env.SLURM_CPUS_ON_NODE);
  const perCpu = positive(env.SLURM_MEM_PER_CPU);
  // 0 is all of the node's: then the host counts.
  const mebibytes = positive(env.SLURM_MEM_PER_NODE) ?? (perCpu && cpus ? perCpu * cpus : undefined);
  const end = positive(env.SLURM_JOB_END_TIME);
  return {
    system: "slurm",
    jobId,
    cpus,
    memoryBytes: mebibytes && mebibytes * mebibyte,
    gpus: visibleGpus(env, positive(env.SLURM_GPUS_ON_NODE) ?? countOf(env.SLURM_JOB_GPUS)),
    endsAt: end && end * 1000,
    rank: whole(env.SLURM_PROCID ?? env.SLURM_NODEID),
    partition: env.SLURM_JOB_PARTITION,
  };
}

/** OpenPBS, PBS Professional, Torque. */
function pbs(jobId: string, { env, now }: AllocationInput): Draft {
  const walltime = positive(env.PBS_WALLTIME);
  return {
    system: "pbs",
    jobId,
    cpus: positive(env.NCPUS) ?? positive(env.PBS_NUM_PPN),
    memoryBytes: undefined,
    gpus: visibleGpus(env, undefined),
    endsAt: walltime && now + walltime * 1000,
    rank: whole(env.PBS_NODENUM),
    partition: env.PBS_QUEUE,
  };
}

function lsf(jobId: string, { env, hostname }: AllocationInput): Draft {
  return {
    system: "lsf",
    jobId,
    cpus: lsfSlots(env.LSB_MCPU_HOSTS ?? "", hostname) ?? positive(env.LSB_DJOB_NUMPROC),
    memoryBytes: undefined,
    gpus: visibleGpus(env, undefined),
    endsAt: undefined,
    rank: undefined,
    partition: env.LSB_QUEUE,
  };
}

/** `host1 16 host2 16`: those of this host. */
function lsfSlots(text: string, hostname: string): number | undefined {
  const words = text.split(/\s+/);
  const short = (name: string | undefined) => name?.split(".")[0];
  const at = words.findIndex((word, index) => index % 2 === 0 && short(word) === short(hostname));
  return at < 0 ? undefined : positive(words[at + 1]);
}

function htcondor({ env, read }: AllocationInput): Draft {
  const machine = parseAd(read(env._CONDOR_MACHINE_AD ?? "") ?? "");
  const job = parseAd(read(env._CONDOR_JOB_AD ?? "") ?? "");
  const mebibytes = positive(machine.Memory);
  const [began, duration] = [positive(job.JobCurrentStartDate), positive(job.AllowedJobDuration)];
  const assigned = machine.AssignedGPUs?.replaceAll('"', "");
  return {
    system: "htcondor",
    jobId: job.ClusterId === undefined ? "unknown" : `${job.ClusterId}.${job.ProcId ?? 0}`,
    cpus: positive(machine.Cpus),
    memoryBytes: mebibytes && mebibytes * mebibyte,
    gpus: visibleGpus(env, countOf(assigned)),
    endsAt: began && duration ? (began + duration) * 1000 : undefined,
    rank: whole(job.ProcId),
    partition: undefined,
  };
}

/** `Name = value` a line; expressions stay text. */
function parseAd(text: string): Record<string, string> {
  const pairs = text.split("\n").flatMap((line) => {
    const match = /^\s*([A-Za-z_]\w*)\s*=\s*(.*\S)\s*$/.exec(line);
    return match ? [[match[1]!, match[2]!] as const] : [];
  });
  return Object.fromEntries(pairs);
}

/** Whose they are is told by whose variable hides the others; where neither is set NVIDIA's are the usual ones. */
function visibleGpus(env: NodeJS.ProcessEnv, told: number | undefined): Allocation["gpus"] | undefined {
  const amd = env.ROCR_VISIBLE_DEVICES ?? env.HIP_VISIBLE_DEVICES;
  const nvidia = env.CUDA_VISIBLE_DEVICES;
  const resource = nvidia === undefined && amd !== undefined ? "amd.com/gpu" : "nvidia.com/gpu";
  const count = told ?? countOf(nvidia ?? amd);
  return count === undefined || count === 0 ? undefined : { resource, count };
}

/** Of a list such as `0,1` or `GPU-8932f937,GPU-46c1...`; `NoDevFiles` and the like are none. */
function countOf(list: string | undefined): number | undefined {
  if (list === undefined) return undefined;
  return list
    .split(",")
    .filter((one) => one.trim() !== "" && !/^(-1|none|void|nodevfiles|undefined)$/i.test(one.trim())).length;
}

function positive(text: string | undefined): number | undefined {
  const number = Number(/^\d+(\.\d+)?$/.test(text?.trim() ?? "") ? text : Number.NaN);
  return number > 0 ? number : undefined;
}

function whole(text: string | undefined): number | undefined {
  return /^\d+$/.test(text ?? "") ? Number(text) : undefined;
}
