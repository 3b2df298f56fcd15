import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./cluster.ts";

const program = fileURLToPath(new URL("../../../bin/hostlet.js", import.meta.url));

export interface Result {
  code: number;
  out: string;
  err: string;
}

/** `hostlet up` in a home of its own, and kubectl towards it. */
export class Up {
  readonly home: string;
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;
  #out = "";

  constructor(home: string, env: NodeJS.ProcessEnv) {
    this.home = home;
    this.#env = { ...env, HOME: home, HOSTLET_PROVIDER: "slurm", HOSTLET_SLURM_POLL_INTERVAL: "2s" };
  }

  async start(): Promise<void> {
    this.#out = "";
    const child = spawn(process.execPath, [program, "up", "--node-name", "slurm"], { env: this.#env });
    const hear = (chunk: Buffer) => {
      this.#out += chunk.toString();
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    this.#child = child;
    await until(() => this.#out.includes("is Ready") || child.exitCode !== null, "the node");
    if (child.exitCode !== null) throw new Error(this.#out);
  }

  async stop(signal: "SIGINT" | "SIGKILL" = "SIGINT"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }

  kubectl(args: string[], input = ""): Promise<Result> {
    const env = { PATH: process.env.PATH, HOME: this.home, KUBECONFIG: join(this.home, ".hostlet/up/kubeconfig") };
    return new Promise((resolve) => {
      const child = execFile("kubectl", args, { env, timeout: 60_000 }, (error, out, err) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, out, err });
      });
      child.stdin?.on("error", () => {}); // it ended without reading
      child.stdin?.end(input);
    });
  }

  /** Until what kubectl prints is so. */
  async until(args: string[], holds: (out: string) => boolean): Promise<string> {
    const deadline = Date.now() + 60_000;
    for (;;) {
      const { out, err } = await this.kubectl(args);
      if (holds(out)) return out;
      if (Date.now() > deadline) throw new Error(`kubectl ${args.join(" ")} still says: ${out}${err}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
