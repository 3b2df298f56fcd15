import { Command } from "commander";
import { addAdmit } from "./admitCommand.ts";
import type { Io } from "./console.ts";
import { addHostpipe } from "./hostpipeCommand.ts";
import { addInterlink } from "./interlinkCommands.ts";
import { addJobCommands, pilotOptions, slurmOptions } from "./jobCommands.ts";
import type { NodeCommandFlags } from "./node.ts";
import { addPilot } from "./pilotCommand.ts";
import type { RunFlags } from "./run.ts";
import type { UpFlags } from "./up.ts";
import { version } from "./version.ts";

export interface Program {
  /**
   * @returns what to exit with
   * @throws {HostletError}, {CommanderError} after having said what is wrong with the command line
   */
  run(args: string[]): Promise<number>;
}

/** The command line. Each command is loaded when it is called, so that --help is quick. */
export function createProgram(io: Io): Program {
  let code = 0;
  const program = new Command("hostlet")
    .description("A Kubernetes node for hosts without a container runtime: pods run as Linux processes.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
    });

  nodeOptions(
    program
      .command("run")
      .argument("[files...]", "manifests: files, directories, - for standard input")
      .description("run the pods of some manifests, show their output, and exit as they do")
      .option("-f, --filename <file>", "a manifest, as kubectl has it; may be given several times", repeated)
      .option("-R, --recursive", "look into directories below the given ones, too")
      .option("--keep", "leave the pods' files when they have ended, and say where")
      .option("--timeout <duration>", "end the pods after this time, such as 90s or 10m, and exit with 124")
      .option("-q, --quiet", "show the pods' output alone"),
  ).action(async (files: string[], flags: RunFlags & { filename?: string[] }) => {
    const { run } = await import("./run.ts");
    code = await run([...files, ...(flags.filename ?? [])], flags, io);
  });

  nodeOptions(
    program
      .command("up")
      .description("start a control plane and a node that stay, for kubectl to try")
      .option("--drain-on-exit", "end the pods when hostlet is stopped; otherwise they run on until the next up"),
  ).action(async (flags: UpFlags) => {
    const { up } = await import("./up.ts");
    code = await up(flags, io);
  });

  pilotOptions(
    slurmOptions(
      clusterNodeOptions(
        program.command("node").description("be a node of a cluster, until a signal or the end of the walltime"),
      ),
    ),
  ).action(async (flags: NodeCommandFlags) => {
    const { node } = await import("./node.ts");
    code = await node(flags, io);
  });

  // What virtual-kubelet-cmd and interLink's first virtual kubelet were started with, as it stands.
  program
    .command("virtual-kubelet", { hidden: true })
    .argument("[args...]")
    .allowUnknownOption()
    .helpOption(false)
    .action(async (args: string[]) => {
      const { virtualKubelet } = await import("./virtualKubelet.ts");
      code = await virtualKubelet(args, io);
    });

  addAdmit(program, io, (ended) => {
    code = ended;
  });

  addJobCommands(program, io, (ended) => {
    code = ended;
  });

  addInterlink(program, io, (ended) => {
    code = ended;
  });

  addHostpipe(program, io, (ended) => {
    code = ended;
  });

  addPilot(program, io, (ended) => {
    code = ended;
  });

  program
    .command("version")
    .description("print the version")
    .action(() => void io.stdout.write(`hostlet ${version} (Node ${process.versions.node}, ${process.arch})\n`));

  return {
    async run(args) {
      await program.parseAsync(args, { from: "user" });
      return code;
    },
  };
}

function nodeOptions(command: Command): Command {
  return command
    .option("--compat", "the habits of virtual-kubelet-cmd: ~ and $HOME in env, one-line commands by bash -c")
    .option("--name, --node-name <name>", "name of the node; default: the host's name")
    .option("--pods-dir <dir>", "where the pods' directories are found; default: ~/.hostlet/pods")
    .option("--state-dir <dir>", "where hostlet keeps its own files; default: ~/.hostlet/run or ~/.hostlet/up")
    .option("--path-layout <layout>", "namespace: <podsDir>/<namespace>/<pod>; pod: <podsDir>/<pod>")
    .option(
      "--isolation <kind>",
      "none: containers see the host; sandbox: a root, mounts and processes of their own; default: none",
    )
    .option("--port <port>", "port of the API server on 127.0.0.1; default: any that is free")
    .option("--config <file>", "configuration file; default: ~/.hostlet/config.yaml")
    .option("--log-level <level>", "fatal, error, warn, info, debug, trace or silent; default: warn");
}

function clusterNodeOptions(command: Command): Command {
  return command
    .option("--kubeconfig <file>", "how to reach the cluster; default: $KUBECONFIG, ~/.kube/config, or as a pod of it")
    .option("--context <name>", "context of the kubeconfig; default: its current one")
    .option("--identity <dir>", "what hostlet admit wrote: kubeconfig, serving certificate and CA")
    .option("--node-name <name>", "name of the node; default: the host's name")
    .option("--node-labels <list>", "labels of the node, key=value,...")
    .option("--node-taints <list>", "taints of the node, key=value:Effect,...")
    .option("--disable-taint", "without the taint virtual-kubelet.io/provider=mock:NoSchedule")
    .option("--node-ip <address>", "address of the node; default: the one that it has towards the cluster")
    .option("--kubelet-port <port>", "port of the kubelet API; 0: any that is free; default: 10250")
    .option("--healthz-port <port>", "port of /healthz on 127.0.0.1; 0: none; default: 10248")
    .option("--cpu <quantity>", "CPUs for pods; default: the host's")
    .option("--memory <quantity>", "memory for pods; default: the host's")
    .option("--max-pods <number>", "pods at a time; default: 110")
    .option("--pod-manifest-path <path>", "manifest file or directory of static pods")
    .option("--allow-namespaces <list>", "takes pods of these namespaces only")
    .option("--tls-cert-file <file>", "certificate of the kubelet API")
    .option("--tls-private-key-file <file>", "its key")
    .option("--client-ca-file <file>", "CA of the kubelet API's clients; default: the kubeconfig's")
    .option(
      "--bootstrap-kubeconfig <file>",
      "a kubeconfig with a bootstrap token, for the node's first client certificate",
    )
    .option("--rotate-certificates", "renew the node's client certificate before it ends")
    .option("--rotate-server-certificates", "have the cluster issue the kubelet API's certificate, and renew it")
    .option("--self-signed", "make a certificate for the kubelet API that nobody can verify")
    .option("--walltime <duration>", "the node's time, such as 2h or seconds; it drains before the end")
    .option("--walltime-margin <duration>", "how long before the end; default: 30s, at most a quarter of the time")
    .option("--drain-on-exit", "end the pods when stopped; otherwise they run on for the next agent")
    .option("--on-exit <what>", "delete-node: remove the Node when leaving, where the identity may")
    .option("--provider <provider>", "what runs whole pods: local, slurm, interlink, dummy; default: local")
    .option("--interlink-url <url>", "where provider interlink sends its pods: http(s)://HOST:PORT or unix:/PATH")
    .option("--interlink-token-file <file>", "a bearer token for it, read again for each request")
    .option("--interlink-ca-file <file>", "the CA that it is verified with")
    .option("--interlink-cert-file <file>", "this node's certificate for it")
    .option("--interlink-key-file <file>", "its key")
    .option("--interlink-status-interval <duration>", "how often it is asked for statuses; default: 5s")
    .option("--interlink-ping-interval <duration>", "how often it is asked whether it is there; default: 30s")
    .option(
      "--isolation <kind>",
      "none: containers see the host; sandbox: a root, mounts and processes of their own; default: none",
    )
    .option(
      "--runtime <runtime>",
      "what runs the containers of provider local: process, systemd, docker; default: process",
    )
    .option("--systemd-manager <manager>", "whose units: system or user; default: system for root")
    .option("--docker-host <address>", "socket of Docker or Podman, unix:///path; default: DOCKER_HOST, or a usual one")
    .option("--startup-timeout <duration>", "give up when the cluster can't be reached; default: wait for ever")
    .option("--compat", "the habits of virtual-kubelet-cmd: ~ and $HOME in env, one-line commands by bash -c")
    .option("--pods-dir <dir>", "where the pods' directories are found; default: ~/.hostlet/pods")
    .option("--state-dir <dir>", "where hostlet keeps its own files; default: ~/.hostlet/state")
    .option("--path-layout <layout>", "namespace: <podsDir>/<namespace>/<pod>; pod: <podsDir>/<pod>")
    .option("--config <file>", "configuration file; default: ~/.hostlet/config.yaml")
    .option("--log-level <level>", "fatal, error, warn, info, debug, trace or silent; default: info");
}

function repeated(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}
