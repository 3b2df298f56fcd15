import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { inject } from "vitest";
import type { TestControlPlane } from "../../integration/support/controlPlane.ts";

export interface KubectlResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface KubectlPipe {
  child: ChildProcess;
  stdout: Readable;
  stderr: () => string;
  exit: Promise<number | null>;
}

/** The kubectl of the control plane's version, or the one on PATH; as the administrator, with a home of its own. */
export class Kubectl {
  readonly #dir = mkdtempSync(join(tmpdir(), "hostlet-kubectl-"));
  readonly #file: string;
  readonly #children = new Set<ChildProcess>();

  constructor(cluster: TestControlPlane) {
    const own = join(inject("controlPlane")?.programs ?? "", "kubectl");
    this.#file = existsSync(own) ? own : "kubectl";
    writeFileSync(join(this.#dir, "config"), cluster.adminKubeconfig(), { mode: 0o600 });
  }

  get #options() {
    const env = { PATH: process.env.PATH, HOME: this.#dir, KUBECONFIG: join(this.#dir, "config") };
    return { env, cwd: this.#dir };
  }

  run(...args: string[]): Promise<KubectlResult> {
    return new Promise((resolve) => {
      execFile(this.#file, args, { ...this.#options, timeout: 60_000 }, (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
      });
    });
  }

  /** The program and what it needs, for a test that starts it by another program. */
  get program(): { file: string; env: NodeJS.ProcessEnv; cwd: string } {
    return { file: this.#file, ...this.#options };
  }

  /** With input, and output as bytes. @param env beside what it needs */
  pipe(
    args: string[],
    input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    env: NodeJS.ProcessEnv = {},
  ): KubectlPipe {
    const options = { ...this.#options, env: { ...this.#options.env, ...env } };
    const child = spawn(this.#file, args, { ...options, stdio: ["pipe", "pipe", "pipe"] });
    this.#children.add(child);
    // A kubectl that has ended takes no more.
    pipeline(input, child.stdin).catch(() => {});
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (chunk) => {
      stderr += chunk;
    });
    const exit = new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => {
        this.#children.delete(child);
        resolve(code);
      });
    });
    return { child, stdout: child.stdout, stderr: () => stderr, exit };
  }

  /** @throws with what it said where it fails */
  async output(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args);
    if (code !== 0) throw new Error(`kubectl ${args.join(" ")} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** A kubectl that goes on; ended by `stop` at the latest. */
  start(...args: string[]): { text: () => string; exit: Promise<number | null> } {
    const child = spawn(this.#file, args, { ...this.#options, stdio: ["ignore", "pipe", "inherit"] });
    this.#children.add(child);
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
    const exit = new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => {
        this.#children.delete(child);
        resolve(code);
      });
    });
    return { text: () => text, exit };
  }

  stop(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
