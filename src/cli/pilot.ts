import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { sleep, systemClock } from "../clock.ts";
import { parseDuration } from "../config/units.ts";
import { HostletError } from "../errors.ts";
import { nodesToSubmit, parsePilots, pilotFormat } from "../pilot/keep.ts";
import { type PilotRequest, pilotSubmission } from "../pilot/script.ts";
import { parseTunnel } from "../pilot/tunnel.ts";
import { type RunSlurm, slurmCommands, standardPaths } from "../providers/slurm/commands.ts";
import { installFor } from "../providers/slurm/install.ts";
import { sentence } from "../providers/slurm/refusals.ts";
import { shellWords } from "../providers/slurm/shellWords.ts";
import { findPackage } from "../runtimes/process/shim.ts";
import type { Io } from "./console.ts";
import { onInterrupt } from "./interrupt.ts";

export interface PilotFlags {
  nodes?: string;
  time?: string;
  site?: string;
  nodeType?: string;
  kubeconfig?: string;
  identity?: string;
  partition?: string;
  account?: string;
  qos?: string;
  constraint?: string;
  reservation?: string;
  cpus?: string;
  mem?: string;
  flags?: string;
  nodeFlags?: string;
  tunnel?: string;
  tunnelBind?: string;
  dir?: string;
  nodeBinary?: string;
  keep?: boolean;
  overlap?: string;
  dryRun?: boolean;
}

/** How often Slurm is asked while nodes are kept alive. */
const keepEveryMs = 30_000;

/**
 * `hostlet pilot submit`: a batch job in which each node is a node of the cluster.
 * @throws {HostletError} ConfigInvalid: flags, or what sbatch says
 */
export async function pilotSubmit(name: string, flags: PilotFlags, io: Io): Promise<number> {
  const request = pilotRequest(name, flags, io);
  const run = slurm(io);
  const overlapMs = parseDuration(flags.overlap ?? "10m");
  if (overlapMs === undefined) throw invalid("--overlap", "a duration such as 10m", flags.overlap);
  if (flags.dryRun) {
    const plan = planOf(request);
    io.stdout.write(`sbatch ${plan.args.join(" ")}\n\n${plan.script}`);
    return 0;
  }
  if (!flags.keep) {
    io.stdout.write(`submitted batch job ${await submit(request, run)} of ${request.nodes} nodes\n`);
    return 0;
  }
  const interrupt = onInterrupt(io, systemClock);
  try {
    while (!interrupt.first.aborted) {
      await keepOnce(request, overlapMs, run, io);
      await sleep(systemClock, keepEveryMs, interrupt.first).catch(() => {});
    }
    io.stderr.write(`the nodes run on until their time is over; hostlet pilot cancel ${name} ends them\n`);
    return 0;
  } finally {
    interrupt.dispose();
  }
}

/** What is missing is asked for; a Slurm that does not answer, or refuses, is asked again. */
async function keepOnce(request: PilotRequest, overlapMs: number, run: RunSlurm, io: Io): Promise<void> {
  try {
    const jobs = (await pilots(run)).filter((job) => job.name === request.name);
    const missing = nodesToSubmit(jobs, request.nodes, overlapMs);
    if (missing === 0) return;
    const id = await submit({ ...request, nodes: missing }, run);
    io.stdout.write(`submitted batch job ${id} of ${missing} nodes\n`);
  } catch (error) {
    io.stderr.write(`warning: ${(error as Error).message}; trying again\n`);
  }
}

/** `hostlet pilot ls`. */
export async function pilotList(io: Io): Promise<number> {
  const rows = (await pilots(slurm(io))).map(({ name, id, state, nodes, leftMs, elapsed, reason }) => [
    name,
    id,
    state,
    String(nodes),
    elapsed,
    leftMs === undefined ? "-" : `${Math.round(leftMs / 60_000)}m`,
    reason === "None" ? "" : reason,
  ]);
  const table = [["NAME", "JOB", "STATE", "NODES", "ELAPSED", "LEFT", "REASON"], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  for (const row of table)
    io.stdout.write(
      `${row
        .map((cell, i) => cell.padEnd(widths[i]! + 2))
        .join("")
        .trimEnd()}\n`,
    );
  return 0;
}

/** `hostlet pilot cancel`: by the pilot's name, or the job's id. @throws {HostletError} NotFound */
export async function pilotCancel(what: string, io: Io): Promise<number> {
  const run = slurm(io);
  const jobs = (await pilots(run)).filter(({ name, id }) => name === what || id === what);
  if (jobs.length === 0)
    throw new HostletError("NotFound", `no pilot ${JSON.stringify(what)}: hostlet pilot ls shows them`);
  // The agents get SIGTERM, and empty their nodes for as long as Slurm's KillWait lets them.
  const answer = await run(
    "scancel",
    jobs.map(({ id }) => id),
  );
  if (answer.code !== 0) throw new HostletError("ConfigInvalid", `scancel: ${sentence(answer.stderr)}`);
  io.stdout.write(`cancelled ${jobs.map(({ id }) => id).join(", ")}\n`);
  return 0;
}

function pilotRequest(name: string, flags: PilotFlags, io: Io): PilotRequest {
  if (!/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(name)) {
    throw invalid("the pilot's name", "up to 40 lower case letters, digits and -", name);
  }
  const nodes = /^[1-9]\d{0,4}$/.test(flags.nodes ?? "1") ? Number(flags.nodes ?? "1") : undefined;
  if (!nodes) throw invalid("--nodes", "1 or more", flags.nodes);
  if (flags.tunnel !== undefined) parseTunnel(flags.tunnel);
  const words = shellWords(flags.flags ?? "");
  const nodeWords = shellWords(flags.nodeFlags ?? "");
  if (!words || !nodeWords) throw new HostletError("ConfigInvalid", "--flags, --node-flags: a quote is left open");
  const dir = resolve(flags.dir ?? join(io.env.HOME || homedir(), ".hostlet/pilot"));
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const option = (key: "partition" | "account" | "qos" | "constraint" | "reservation") =>
    flags[key] === undefined ? [] : [{ name: key, value: flags[key] }];
  const passed = (flag: string, value: string | undefined) => (value === undefined ? [] : [flag, value]);
  return {
    name,
    nodes,
    time: flags.time,
    cpus: flags.cpus,
    mem: flags.mem,
    options: (["partition", "account", "qos", "constraint", "reservation"] as const).flatMap(option),
    words,
    program: [flags.nodeBinary ?? process.execPath, "--max-semi-space-size=1", installFor(dir, findPackage())],
    nodeArgs: [
      ...passed("--kubeconfig", flags.kubeconfig && resolve(flags.kubeconfig)),
      ...passed("--identity", flags.identity && resolve(flags.identity)),
      ...passed("--site", flags.site),
      ...passed("--node-type", flags.nodeType),
      ...passed("--tunnel", flags.tunnel),
      ...passed("--tunnel-bind", flags.tunnelBind),
      ...["--on-exit", "delete-node"],
      ...nodeWords,
    ],
    logDir: dir,
  };
}

function planOf(request: PilotRequest) {
  const plan = pilotSubmission(request);
  if ("refused" in plan) throw new HostletError("ConfigInvalid", plan.refused);
  return plan;
}

async function submit(request: PilotRequest, run: RunSlurm): Promise<string> {
  const plan = planOf(request);
  const { code, stdout, stderr } = await run("sbatch", plan.args, { input: plan.script });
  const id = /^(\d+)/.exec(stdout)?.[1];
  if (code !== 0 || id === undefined) throw new HostletError("ConfigInvalid", `sbatch: ${sentence(stderr)}`);
  return id;
}

async function pilots(run: RunSlurm) {
  const user = `--user=${process.getuid?.() ?? 0}`;
  const { code, stdout, stderr } = await run("squeue", ["--noheader", user, `--format=${pilotFormat}`]);
  if (code !== 0) throw new HostletError("ConfigInvalid", `squeue: ${sentence(stderr)}`);
  return parsePilots(stdout);
}

/** The jobs get the environment of whoever submits them, as with sbatch itself. */
function slurm(io: Io): RunSlurm {
  const env = Object.entries(io.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return slurmCommands(standardPaths, Object.fromEntries(env));
}

function invalid(what: string, wanted: string, given: string | undefined): HostletError {
  return new HostletError("ConfigInvalid", `${what}: must be ${wanted}, not ${JSON.stringify(given)}`);
}
