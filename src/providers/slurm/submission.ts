import { type Pod, podRef } from "../../kube/types.ts";
import { type Flag, formatFlag, mergeFlags, parseFlags } from "./flags.ts";
import { jobMark, jobName } from "./queue.ts";
import { podNeeds, resourceFlags } from "./resources.ts";
import { shellQuote, shellWords } from "./shellWords.ts";
import type { Flavor, SlurmSite } from "./site.ts";

/** Annotations of hostlet: each is the option of sbatch of its name, `slurm-job.hostlet.dev/qos: high`. */
export const ownPrefix = "slurm-job.hostlet.dev/";
/** Those of interLink and of KNoC. */
const interlinkPrefix = "slurm-job.vk.io/";
const knocPrefix = "slurm-job.knoc.io/";

const ownOptions = new Set([
  ...["account", "begin", "constraint", "dependency", "exclude", "exclusive", "gpus", "gres", "licenses", "mail-type"],
  ...["mail-user", "mem-per-cpu", "nice", "nodelist", "nodes", "ntasks", "ntasks-per-node", "partition", "priority"],
  ...["qos", "reservation", "time", "wckey"],
]);

export interface Submission {
  /** Arguments of sbatch, without the script, which comes on its standard input. */
  args: string[];
  script: string;
  warnings: string[];
}

export interface SubmissionOptions {
  site: SlurmSite;
  pod: Pod;
  /** The pod's directory that its job shares with the agent; absolute. */
  dir: string;
  /** What is run on the compute node: Node, its options, hostlet. */
  program: readonly string[];
  /** Beside what the containers get. */
  memoryOverheadBytes: number;
}

/** What a pod's annotations ask of its job; and how it can't be. Pure. */
export function planSubmission(options: SubmissionOptions): Submission | { refused: string } {
  const { site, pod, dir } = options;
  const flavor = flavorOf(site, pod);
  if (typeof flavor === "string") return { refused: flavor };
  const asked = annotationFlags(pod);
  const given = [site.flags, flavor?.SlurmFlags ?? [], asked.words].map((words) => parseFlags(words));
  const refused = [...asked.refused, ...given.flatMap((parsed) => parsed.refused)];
  if (refused.length > 0) return { refused: refused.join("; ") };
  const flags = mergeFlags(
    site.partition === undefined ? [] : [{ name: "partition", value: site.partition }],
    flavorFlags(flavor),
    ...given.map((parsed) => parsed.flags),
    priorityFlags(site, pod),
    asked.own,
    timeLimit(pod),
    resourceFlags(pod, options.memoryOverheadBytes),
  );
  const ref = podRef(pod);
  return {
    args: [
      "--parsable",
      ...flags.map(formatFlag),
      "--no-requeue",
      "--export=ALL",
      `--job-name=${jobName(ref)}`,
      `--comment=${jobMark(ref.uid)}`,
      `--chdir=${dir}`,
      `--output=${dir}/job.out`,
      "--open-mode=append",
    ],
    script: batchScript(options),
    warnings: [
      ...given.flatMap((parsed) => parsed.ignored).map((flag) => `${flag} is hostlet's own to say`),
      ...asked.unknown.map((name) => `annotation ${name} is not known`),
    ],
  };
}

function annotationFlags(pod: Pod): { words: string[]; own: Flag[]; unknown: string[]; refused: string[] } {
  const annotations = pod.metadata?.annotations ?? {};
  const result = { words: [] as string[], own: [] as Flag[], unknown: [] as string[], refused: [] as string[] };
  for (const prefix of [knocPrefix, interlinkPrefix, ownPrefix]) {
    const text = annotations[`${prefix}flags`];
    if (text === undefined) continue;
    const words = shellWords(text);
    if (words) result.words.push(...words);
    else result.refused.push(`annotation ${prefix}flags: a quote is left open`);
  }
  for (const [name, value] of Object.entries(annotations)) {
    if (!name.startsWith(ownPrefix)) continue;
    const option = name.slice(ownPrefix.length);
    if (ownOptions.has(option)) result.own.push(value === "" ? { name: option } : { name: option, value });
    else if (!["flags", "flavor", "mpi-flags", "pre-exec"].includes(option)) result.unknown.push(name);
  }
  return result;
}

/** The first of these annotations that is set: hostlet's, interLink's, KNoC's. */
export function jobAnnotation(pod: Pod, name: string): string | undefined {
  const annotations = pod.metadata?.annotations ?? {};
  return annotations[ownPrefix + name] ?? annotations[interlinkPrefix + name] ?? annotations[knocPrefix + name];
}

/** @returns a sentence where the pod names one that is not there */
function flavorOf(site: SlurmSite, pod: Pod): Flavor | undefined | string {
  const asked = jobAnnotation(pod, "flavor");
  if (asked !== undefined) {
    const names = Object.keys(site.flavors).join(", ") || "none";
    return site.flavors[asked] ?? `flavor ${JSON.stringify(asked)} is not one of this node's (${names})`;
  }
  const gpus = ["nvidia.com/gpu", "amd.com/gpu"].some((name) => (podNeeds(pod, name, "whole") ?? 0n) > 0n);
  const forGpus = gpus ? Object.values(site.flavors).find(isForGpus) : undefined;
  return forGpus ?? (site.defaultFlavor === undefined ? undefined : site.flavors[site.defaultFlavor]);
}

function isForGpus({ SlurmFlags = [], Name = "" }: Flavor): boolean {
  return /gpu/i.test(Name) || SlurmFlags.some((flag) => /--gres=gpu|--gpus/.test(flag));
}

/** What a flavor gives where the pod says nothing. */
function flavorFlags(flavor: Flavor | undefined): Flag[] {
  return [
    ...(flavor?.CPUDefault === undefined ? [] : [{ name: "cpus-per-task", value: String(flavor.CPUDefault) }]),
    ...(flavor?.MemoryDefault === undefined ? [] : [{ name: "mem", value: memoryOf(flavor.MemoryDefault) }]),
  ];
}

/** `16G` is as Slurm has it; `16Gi` is not. */
function memoryOf(text: string | number): string {
  return String(text).replace(/^(\d+)([KMGT])(i?B?)$/i, "$1$2");
}

function priorityFlags(site: SlurmSite, pod: Pod): Flag[] {
  const words = site.priorityClasses[pod.spec?.priorityClassName ?? ""];
  return words === undefined ? [] : parseFlags(words).flags;
}

/** Slurm's limit comes after the core has ended the pod at its deadline, with time for a graceful end. */
function timeLimit(pod: Pod): Flag[] {
  const deadline = pod.spec?.activeDeadlineSeconds;
  if (deadline === undefined) return [];
  const grace = pod.spec?.terminationGracePeriodSeconds ?? 30;
  return [{ name: "time", value: String(Math.ceil((deadline + grace + 10) / 60)) }];
}

/** Nothing of the pod is in it, except the annotation whose value is lines of a shell. */
function batchScript({ site, pod, dir, program }: SubmissionOptions): string {
  const preExec = jobAnnotation(pod, "pre-exec");
  return [
    `#!${site.bash}`,
    "# Runs one pod of a hostlet node; see pod-run in docs/guides/slurm.md.",
    "umask 077",
    ...(site.commandPrefix === undefined ? [] : [site.commandPrefix]),
    ...(preExec === undefined ? [] : ["umask 022", preExec, "umask 077"]),
    `exec ${[...program, "pod-run", dir].map(shellQuote).join(" ")}`,
    "",
  ].join("\n");
}
