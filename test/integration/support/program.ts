import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";

/** A child with its output in a file. Ended by its own pid, and waited for. */
export class Program {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #logFile: string;

  constructor(file: string, args: readonly string[], options: { name: string; logFile: string; cwd: string }) {
    this.name = options.name;
    this.#logFile = options.logFile;
    const output = openSync(options.logFile, "a");
    // No environment but what Go's programs need: a proxy in it would come between them.
    const env = { PATH: process.env.PATH, HOME: options.cwd };
    this.#child = spawn(file, args, { cwd: options.cwd, env, stdio: ["ignore", output, output] });
    this.#child.on("error", () => {}); // `whileRunning` and `stop` see that there is no pid
    closeSync(output);
  }

  get #ended(): boolean {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Asks until it is so. @throws with the end of the log when the program is gone, or after a minute */
  async whileRunning(ready: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!(await ready().catch(() => false))) {
      if (this.#ended || Date.now() > deadline) {
        const log = readFileSync(this.#logFile, "utf8").split("\n").slice(-20).join("\n");
        throw new Error(`${this.name} ${this.#ended ? "has ended" : "does not get ready"}; its log ends with\n${log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Idempotent. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    if (this.#ended) return;
    const exited = once(this.#child, "exit");
    this.#child.kill(signal);
    const impatience = setTimeout(() => this.#child.kill("SIGKILL"), 15_000);
    await exited;
    clearTimeout(impatience);
  }
}
