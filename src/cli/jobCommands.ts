import type { Command } from "commander";
import type { Io } from "./console.ts";

/** What batch jobs of provider slurm call; nobody types these. */
export function addJobCommands(program: Command, io: Io, ended: (code: number) => void): void {
  program
    .command("pod-run", { hidden: true })
    .argument("<dir>", "directory of the pod, which its agent has made")
    .description("run the pod of a batch job")
    .action(async (dir: string) => {
      const { podRun } = await import("./podRun.ts");
      ended(await podRun(dir, io));
    });
  program
    .command("pod-exec", { hidden: true })
    .argument("<attempt>", "directory of the container's start")
    .argument("<argv...>")
    .description("run a command beside a container of this host, as its own process would see the world")
    .action(async (attempt: string, argv: string[]) => {
      const { podExec } = await import("./podExec.ts");
      ended(await podExec(attempt, argv));
    });
  program
    .command("pod-connect", { hidden: true })
    .argument("<port>")
    .description("connect standard input and output to a port of this host")
    .action(async (port: string) => {
      const { podConnect } = await import("./podConnect.ts");
      ended(await podConnect(port, io));
    });
}

/** Of `hostlet node` with provider slurm. */
export function slurmOptions(command: Command): Command {
  return command
    .option("--slurm-dir <dir>", "of jobs: directory that the compute nodes share; default: ~/.hostlet/slurm")
    .option("--slurm-partition <name>", "of jobs: their partition")
    .option("--slurm-flags <list>", "of jobs: options of sbatch, --account=a,...")
    .option("--slurm-config <file>", "of jobs: interLink's SlurmConfig.yaml")
    .option("--slurm-flavor <name>", "of jobs: flavor of pods that name none")
    .option("--slurm-poll-interval <duration>", "of jobs: how often squeue is asked; default: 10s");
}

/** Of `hostlet node` where a batch system, or a firewall, is around it. */
export function pilotOptions(command: Command): Command {
  return command
    .option("--site <name>", "label jiriaf.site of the node")
    .option("--node-type <name>", "label jiriaf.nodetype of the node")
    .option("--no-allocation", "don't take capacity and time from the batch job that this runs in")
    .option(
      "--tunnel <url>",
      "ssh://[USER@]HOST[:PORT]: the cluster finds the kubelet API there, on a port that is free",
    )
    .option("--tunnel-bind <address>", "the address of that host which is listened on; default: 127.0.0.1")
    .option("--nodes <number>", "be so many nodes, NAME-0, NAME-1, ...");
}
