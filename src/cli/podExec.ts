import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readlinkSync } from "node:fs";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import { HostletError } from "../errors.ts";
import { encodeExit, encodeFrame } from "../providers/slurm/frames.ts";
import { isAlive } from "../runtimes/process/identity.ts";
import { readPayload } from "../runtimes/process/payload.ts";

/**
 * `hostlet pod-exec ATTEMPT ARGV...`: with the environment and the working directory of the container's main process. Output and exit code
 * (as a shell: 127 not found, 126 not executable, 128 + signal) go to standard output in frames, as srun mixes in words of its own.
 * @throws {HostletError} NotFound
 */
export async function podExec(attempt: string, argv: string[]): Promise<number> {
  const payload = readPayload(attempt);
  if (!payload || !isAlive(payload.pid, payload.startTime)) {
    throw new HostletError("NotFound", "the container does not run");
  }
  const variables = readFileSync(`/proc/${payload.pid}/environ`, "utf8").split("\0").filter(Boolean);
  const env = Object.fromEntries(variables.map((text) => [text.split("=", 1)[0], text.slice(text.indexOf("=") + 1)]));
  const [file = "", ...args] = argv;
  const cwd = readlinkSync(`/proc/${payload.pid}/cwd`);
  const child = spawn(file, args, { env, cwd, stdio: ["inherit", "pipe", "pipe"] });
  const pass = (signal: NodeJS.Signals) => void child.kill(signal);
  process.on("SIGTERM", pass).on("SIGINT", pass);
  const copied = [copy(child.stdout, "out"), copy(child.stderr, "err")];
  const code = await new Promise<number>((resolve) => {
    child.on("error", (error: NodeJS.ErrnoException) => {
      process.stdout.write(
        encodeFrame("err", Buffer.from(`${file}: ${error.code === "ENOENT" ? "not found" : error.message}\n`)),
      );
      resolve(error.code === "ENOENT" ? 127 : 126);
    });
    child.on("exit", (exit, signal) => resolve(exit ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
  await Promise.all(copied);
  process.off("SIGTERM", pass).off("SIGINT", pass);
  process.stdout.write(encodeExit(code));
  return 0;
}

async function copy(stream: Readable, kind: "out" | "err"): Promise<void> {
  for await (const chunk of stream) {
    if (!process.stdout.write(encodeFrame(kind, chunk))) await once(process.stdout, "drain");
  }
}
