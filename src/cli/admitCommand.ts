import type { Command } from "commander";
import type { AdmitFlags } from "./admit.ts";
import type { Io } from "./console.ts";

/** @param ended is told what to exit with */
export function addAdmit(program: Command, io: Io, ended: (code: number) => void): void {
  program
    .command("admit")
    .argument("<name>", "name of the node")
    .description("as an administrator, once: make a Node, its certificates and its kubeconfig; again: renew them")
    .option("--kubeconfig <file>", "the administrator's; default: $KUBECONFIG or ~/.kube/config")
    .option("--context <name>", "context of the kubeconfig; default: its current one")
    .option("--node-labels <list>", "labels of the Node, key=value,...")
    .option("--node-taints <list>", "taints of the Node, key=value:Effect,...")
    .option("--disable-taint", "without the taint virtual-kubelet.io/provider=mock:NoSchedule")
    .option("--ip <list>", "addresses by which the API server reaches the node, for its serving certificate")
    .option("--names <list>", "further DNS names for it")
    .option("--out <dir>", "where the node's credentials are written; default: ~/.hostlet/<name>")
    .option("--expiration <duration>", "ask for certificates that last so long, such as 90d; default: the cluster's")
    .option("--dry-run", "print the objects, and change nothing")
    .action(async (name: string, flags: AdmitFlags) => {
      const { admit } = await import("./admit.ts");
      ended(await admit(name, flags, io));
    });
}
