import { type Flag, formatFlag, mergeFlags, parseFlags } from "../providers/slurm/flags.ts";
import { shellQuote } from "../providers/slurm/shellWords.ts";

export interface PilotRequest {
  /** Of the pilot; its nodes are NAME-JOB-RANK. */
  name: string;
  nodes: number;
  /** As Slurm has it. */
  time: string | undefined;
  /** CPUs and memory of each node; without both a node is the pilot's alone. */
  cpus: string | undefined;
  mem: string | undefined;
  options: Flag[];
  /** Options of sbatch as words; they count more than all before. */
  words: string[];
  /** What is run on a compute node: Node, its options, hostlet. */
  program: readonly string[];
  /** Of `hostlet node`. */
  nodeArgs: readonly string[];
  /** Where the job writes what the agents say. */
  logDir: string;
}

export interface PilotSubmission {
  args: string[];
  script: string;
}

/** What sbatch is given for a job of pilot nodes. Pure. */
export function pilotSubmission(request: PilotRequest): PilotSubmission | { refused: string } {
  const { name, nodes, time, cpus, mem, logDir } = request;
  const parsed = parseFlags(request.words);
  if (parsed.refused.length > 0) return { refused: parsed.refused.join("; ") };
  const whole: Flag[] = [{ name: "exclusive" }, { name: "mem", value: "0" }];
  const part: Flag[] = [
    ...(cpus === undefined ? [] : [{ name: "cpus-per-task", value: cpus }]),
    ...(mem === undefined ? [] : [{ name: "mem", value: mem }]),
  ];
  const flags = mergeFlags(
    [
      { name: "nodes", value: String(nodes) },
      { name: "ntasks-per-node", value: "1" },
    ],
    part.length > 0 ? part : whole,
    time === undefined ? [] : [{ name: "time", value: time }],
    request.options,
    parsed.flags,
  );
  return {
    args: [
      "--parsable",
      ...flags.map(formatFlag),
      "--no-requeue",
      `--job-name=hostlet-${name}`,
      `--comment=hostlet-pilot:${name}`,
      `--output=${logDir}/%j.out`,
    ],
    script: [
      "#!/bin/bash",
      `# Pilot nodes of hostlet: ${name}`,
      "umask 077",
      // cpus-per-task of the job is no longer that of its steps since Slurm 22.05.
      "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK",
      '[ -n "$SRUN_CPUS_PER_TASK" ] || unset SRUN_CPUS_PER_TASK',
      `exec srun --kill-on-bad-exit=0 --ntasks-per-node=1 ${own} ${[name, ...request.program, "node", ...request.nodeArgs].map(shellQuote).join(" ")}`,
      "",
    ].join("\n"),
  };
}

/** $0 is the pilot's name; the rest is run with the name of this node behind it. */
const own = `/bin/bash -c 'exec "$@" --node-name "$0-$SLURM_JOB_ID-$SLURM_PROCID"'`;
