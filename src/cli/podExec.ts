import { spawn } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { constants } from "node:os";
import { HostletError } from "../errors.ts";
import { isAlive } from "../runtimes/process/identity.ts";
import { readPayload } from "../runtimes/process/payload.ts";

/**
 * `hostlet pod-exec ATTEMPT ARGV...`: with the environment and the working directory of the container's main process.
 * @returns as a shell: 127 not found, 126 not executable, 128 + signal
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
  const child = spawn(file, args, { env, cwd: readlinkSync(`/proc/${payload.pid}/cwd`), stdio: "inherit" });
  const pass = (signal: NodeJS.Signals) => void child.kill(signal);
  process.on("SIGTERM", pass).on("SIGINT", pass);
  return new Promise((resolve) => {
    child.on("error", (error: NodeJS.ErrnoException) => {
      process.stderr.write(`${file}: ${error.code === "ENOENT" ? "not found" : error.message}\n`);
      resolve(error.code === "ENOENT" ? 127 : 126);
    });
    child.on("close", (code, signal) => {
      process.off("SIGTERM", pass).off("SIGINT", pass);
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}
