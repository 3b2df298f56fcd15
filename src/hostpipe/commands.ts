import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";

export interface LineEnd {
  /** 128 + signal for a signal; 127 where there is no shell. */
  exitCode: number;
}

/** After its end, for output that is still under way; a daemon that it left may hold the pipe for ever. */
const drainMs = 500;

/** Runs a line as the shell command that it is, in a session of its own. */
export class LineCommand {
  readonly ended: Promise<LineEnd>;
  readonly #child: ChildProcess;

  /** @param output whole lines, as far as there are line breaks */
  constructor(line: string, cwd: string, output: (stream: "out" | "err", text: string) => void) {
    this.#child = spawn("/bin/bash", ["-c", line], { cwd, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    const flushes = (["stdout", "stderr"] as const).map((name) => {
      let held = "";
      const stream = this.#child[name]?.setEncoding("utf8");
      const tell = (text: string) => output(name === "stdout" ? "out" : "err", text);
      stream?.on("data", (chunk: string) => {
        const lines = `${held}${chunk}`.split("\n");
        held = lines.pop() ?? "";
        for (const text of lines) tell(text);
      });
      return () => {
        if (held !== "") tell(held);
        held = "";
        stream?.destroy();
      };
    });
    this.ended = new Promise((resolve) => {
      let end: LineEnd | undefined;
      const done = () => {
        clearTimeout(drain);
        for (const flush of flushes) flush();
        resolve(end ?? { exitCode: 127 });
      };
      let drain: NodeJS.Timeout | undefined;
      this.#child.once("error", (error) => {
        output("err", error.message);
        done();
      });
      this.#child.once("exit", (code, signal) => {
        end = { exitCode: code ?? 128 + (signal ? constants.signals[signal] : 0) };
        drain = setTimeout(done, drainMs);
      });
      this.#child.once("close", done);
    });
  }

  /** To all that it started in its session. */
  kill(signal: "SIGTERM" | "SIGKILL"): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
