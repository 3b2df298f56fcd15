import type { Command } from "commander";
import type { Io } from "./console.ts";
import type { InterlinkFlags } from "./interlinkApi.ts";
import type { PluginFlags } from "./plugin.ts";

/** @param ended is told what to exit with */
export function addInterlink(program: Command, io: Io, ended: (code: number) => void): void {
  providerOptions(
    listenOptions(
      program
        .command("plugin")
        .description("be a plugin of an interLink API server: run pods that come over its protocol"),
    )
      .option("--tls-cert-file <file>", "its certificate")
      .option("--tls-private-key-file <file>", "its key")
      .option("--client-ca-file <file>", "clients must show a certificate of this CA")
      .option("--token-file <file>", "clients must send the bearer token in it")
      .option("--config <file>", "configuration file; default: ~/.hostlet/config.yaml"),
  ).action(async (flags: PluginFlags) => {
    const { plugin } = await import("./plugin.ts");
    ended(await plugin(flags, io));
  });

  providerOptions(
    listenOptions(program.command("interlink").description("be an interLink API server, between nodes and a plugin"))
      .option("--config <file>", "interLink's own file, InterLinkConfig.yaml; default: $INTERLINKCONFIGPATH")
      .option("--node-config <file>", "hostlet's configuration file, for the provider of this process"),
  ).action(async (flags: InterlinkFlags) => {
    const { interlink } = await import("./interlinkApi.ts");
    ended(await interlink(flags, io));
  });
}

function listenOptions(command: Command): Command {
  return command
    .option("--listen <address>", "unix:/PATH or HOST:PORT")
    .option("--insecure-listen", "listen on TCP though anybody who reaches it could run programs here");
}

/** Of a plugin, and of an API server that has its plugin in its own process. */
function providerOptions(command: Command): Command {
  return command
    .option("--provider <provider>", "what runs whole pods: local, slurm, interlink, dummy; default: local")
    .option("--runtime <runtime>", "what runs the containers of provider local: process, docker; default: process")
    .option("--docker-host <address>", "socket of Docker or Podman, unix:///path")
    .option("--isolation <kind>", "none or sandbox; default: none")
    .option("--pods-dir <dir>", "where the pods' directories are found; default: ~/.hostlet/pods")
    .option("--state-dir <dir>", "where hostlet keeps its own files; default: ~/.hostlet/plugin")
    .option("--path-layout <layout>", "namespace: <podsDir>/<namespace>/<pod>; pod: <podsDir>/<pod>")
    .option("--report-resources", "tell nodes what this host has: it becomes theirs")
    .option("--compat", "the habits of virtual-kubelet-cmd: ~ and $HOME in env, one-line commands by bash -c")
    .option("--log-level <level>", "fatal, error, warn, info, debug, trace or silent; default: info");
}
