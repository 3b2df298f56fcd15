import { describe, expect, it } from "vitest";
import { type Allocation, findAllocation } from "./allocation.ts";
import { allocationDefaults, allocationLabels } from "./nodeOf.ts";

const now = Date.parse("2026-01-01T00:00:00Z");

function find(env: NodeJS.ProcessEnv, files: Record<string, string> = {}): Allocation | undefined {
  return findAllocation({ env, now, hostname: "n1.site", read: (path) => files[path] });
}

describe("an allocation", () => {
  it("there is none on an ordinary host", () => expect(find({ HOME: "/home/me" })).toBeUndefined());

  it("of Slurm: CPUs, memory of the node, GPUs, end", () => {
    const env = {
      SLURM_JOB_ID: "77",
      SLURM_CPUS_ON_NODE: "32",
      SLURM_MEM_PER_NODE: "65536",
      SLURM_GPUS_ON_NODE: "4",
      CUDA_VISIBLE_DEVICES: "0,1,2,3",
      SLURM_JOB_END_TIME: "1767229200",
      SLURM_PROCID: "1",
      SLURM_JOB_PARTITION: "gpu",
    };
    expect(find(env)).toEqual({
      system: "slurm",
      jobId: "77",
      cpus: 32,
      memoryBytes: 64 * 2 ** 30,
      gpus: { resource: "nvidia.com/gpu", count: 4 },
      endsAt: 1767229200000,
      rank: 1,
      partition: "gpu",
    });
  });

  it.each<[string, NodeJS.ProcessEnv, Partial<Allocation>]>([
    ["memory per CPU", { SLURM_CPUS_ON_NODE: "4", SLURM_MEM_PER_CPU: "1024" }, { memoryBytes: 4 * 2 ** 30 }],
    ["AMD's GPUs", { ROCR_VISIBLE_DEVICES: "0,1" }, { gpus: { resource: "amd.com/gpu", count: 2 } }],
  ])("of Slurm: %s", (_, env, expected) => expect(find({ SLURM_JOB_ID: "1", ...env })).toMatchObject(expected));

  it.each<[string, NodeJS.ProcessEnv]>([
    ["memory 0, which is all of the host's", { SLURM_MEM_PER_NODE: "0" }],
    ["no GPU", { CUDA_VISIBLE_DEVICES: "NoDevFiles", SLURM_GPUS_ON_NODE: "" }],
    ["an end that is no number", { SLURM_JOB_END_TIME: "Unknown" }],
  ])("of Slurm: %s is left to the host", (_, env) => {
    expect(find({ SLURM_JOB_ID: "1", ...env })).toEqual({ system: "slurm", jobId: "1" });
  });

  it("of PBS: CPUs, and the walltime from now on", () => {
    const env = { PBS_JOBID: "9.server", NCPUS: "8", PBS_WALLTIME: "3600", PBS_NODENUM: "0", PBS_QUEUE: "batch" };
    expect(find(env)).toEqual({
      system: "pbs",
      jobId: "9.server",
      cpus: 8,
      endsAt: now + 3600_000,
      rank: 0,
      partition: "batch",
    });
  });

  it("of LSF: the slots on this host", () => {
    expect(find({ LSB_JOBID: "5", LSB_MCPU_HOSTS: "n0 2 n1 16 ", LSB_DJOB_NUMPROC: "18" })).toMatchObject({ cpus: 16 });
    expect(find({ LSB_JOBID: "5", LSB_DJOB_NUMPROC: "18" })).toMatchObject({ system: "lsf", cpus: 18 });
  });

  it("of HTCondor: what its ads say", () => {
    const files = {
      "/ad/machine": 'Cpus = 4\nMemory = 8192\nAssignedGPUs = "GPU-1,GPU-2"\nRank = 0.0\n',
      "/ad/job": "ClusterId = 12\nProcId = 3\nJobCurrentStartDate = 1767225600\nAllowedJobDuration = 600\n",
    };
    expect(find({ _CONDOR_JOB_AD: "/ad/job", _CONDOR_MACHINE_AD: "/ad/machine" }, files)).toEqual({
      system: "htcondor",
      jobId: "12.3",
      cpus: 4,
      memoryBytes: 8 * 2 ** 30,
      gpus: { resource: "nvidia.com/gpu", count: 2 },
      endsAt: 1767226200000,
      rank: 3,
    });
    expect(find({ _CONDOR_JOB_AD: "/gone" })).toEqual({ system: "htcondor", jobId: "unknown" });
  });
});

describe("a node in it", () => {
  const allocation: Allocation = {
    system: "pbs",
    jobId: "9[1].server",
    cpus: 8,
    memoryBytes: 2 ** 30,
    gpus: { resource: "amd.com/gpu", count: 2 },
    rank: 0,
  };

  it("has what the job was given, and its state on the host's own disk", () => {
    expect(allocationDefaults(allocation, "/scratch", 1000)).toEqual({
      stateDir: "/scratch/hostlet-1000/pbs-9_1_.server-0/state",
      podsDir: "/scratch/hostlet-1000/pbs-9_1_.server-0/pods",
      kubeletPort: 0,
      healthzPort: 0,
      cpu: "8",
      memory: "1024Mi",
      extendedResources: { "amd.com/gpu": "2" },
    });
  });

  it("says in its labels which job it is", () => {
    expect(allocationLabels(allocation)).toEqual({
      "hostlet.dev/batch-system": "pbs",
      "hostlet.dev/batch-job": "9_1_.server",
    });
  });
});
