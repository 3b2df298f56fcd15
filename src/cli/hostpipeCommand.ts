import type { Command } from "commander";
import type { Io } from "./console.ts";
import type { FifoFlags, ServeFlags } from "./hostpipe.ts";

/** @param ended is told what to exit with */
export function addHostpipe(program: Command, io: Io, ended: (code: number) => void): void {
  const hostpipe = program
    .command("hostpipe")
    .description("run on this host what an agent in a container hands over, through a directory that both share");
  hostpipe
    .command("serve")
    .description(
      "run pods that an agent with --provider interlink sends to a unix socket, with a token in a file beside it",
    )
    .option("--dir <dir>", "the directory that both share; default: ~/hostpipe")
    .option("--state-dir <dir>", "where hostlet keeps its own files; default: ~/.hostlet/hostpipe")
    .option("--pods-dir <dir>", "where the pods' directories are found; default: ~/.hostlet/pods")
    .option("--config <file>", "configuration file; default: ~/.hostlet/config.yaml")
    .option("--log-level <level>", "fatal, error, warn, info, debug, trace or silent; default: info")
    .action(async (flags: ServeFlags) => {
      const { hostpipeServe } = await import("./hostpipe.ts");
      ended(await hostpipeServe(flags, io));
    });
  hostpipe
    .command("fifo")
    .argument("[path]", "the FIFO; default: ~/hostpipe/vk-cmd")
    .description("run each line that is written to a FIFO, as vk-cmd's pipeline does")
    .option("--parallel <number>", "how many lines run at a time; default: 1, one after another")
    .option("--log <file>", "lines, their output and their exit codes; default: <path>.log")
    .option("-q, --quiet", "don't show the log")
    .action(async (path: string | undefined, flags: FifoFlags) => {
      const { hostpipeFifo } = await import("./hostpipe.ts");
      ended(await hostpipeFifo(path, flags, io));
    });
}
