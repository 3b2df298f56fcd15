import type { Command } from "commander";
import type { Io } from "./console.ts";
import type { PilotFlags } from "./pilot.ts";

/** @param ended is told what to exit with */
export function addPilot(program: Command, io: Io, ended: (code: number) => void): void {
  const pilot = program.command("pilot").description("nodes of a cluster in jobs of Slurm");
  pilot
    .command("submit")
    .argument("[name]", "name of the pilot; its nodes are NAME-JOB-RANK", "pilot")
    .description("submit a job in which each node becomes a node of the cluster, for as long as the job lasts")
    .option("--nodes <number>", "how many; default: 1")
    .option("--time <time>", "for how long, as Slurm has it: 2:00:00")
    .option("--kubeconfig <file>", "how the nodes reach the cluster")
    .option("--identity <dir>", "what hostlet admit wrote, in the place of --kubeconfig")
    .option("--site <name>", "label jiriaf.site of the nodes")
    .option("--node-type <name>", "label jiriaf.nodetype of the nodes")
    .option("--partition <name>", "as sbatch has it; so the next four")
    .option("--account <name>")
    .option("--qos <name>")
    .option("--constraint <list>")
    .option("--reservation <name>")
    .option("--cpus <number>", "CPUs of each node; without --cpus and --mem whole nodes are asked for")
    .option("--mem <size>", "memory of each node, as Slurm has it: 16G")
    .option("--flags <text>", "further options of sbatch")
    .option("--node-flags <text>", "further options of hostlet node")
    .option("--tunnel <url>", "ssh://[USER@]HOST[:PORT]: the cluster finds the nodes' kubelet API there")
    .option("--tunnel-bind <address>", "the address of that host which is listened on; default: 127.0.0.1")
    .option("--dir <dir>", "a directory that the compute nodes see, too; default: ~/.hostlet/pilot")
    .option("--node-binary <file>", "Node.js on the compute nodes; default: the one that runs this")
    .option("--keep", "stay, and submit the next job before the last one ends")
    .option("--overlap <duration>", "with --keep: how long before; default: 10m")
    .option("--dry-run", "print what would be submitted")
    .action(async (name: string, flags: PilotFlags) => {
      const { pilotSubmit } = await import("./pilot.ts");
      ended(await pilotSubmit(name, flags, io));
    });
  pilot
    .command("ls")
    .description("list the jobs of pilots")
    .action(async () => {
      const { pilotList } = await import("./pilot.ts");
      ended(await pilotList(io));
    });
  pilot
    .command("cancel")
    .argument("<pilot>", "its name, or the id of one job")
    .description("end the jobs of a pilot; its nodes are emptied first, as far as Slurm gives time")
    .action(async (what: string) => {
      const { pilotCancel } = await import("./pilot.ts");
      ended(await pilotCancel(what, io));
    });
}
