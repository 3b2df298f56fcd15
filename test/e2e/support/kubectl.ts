import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import type { TestControlPlane } from "../../integration/support/controlPlane.ts";

export interface KubectlResult {
  code: number;
  stdout: string;
  stderr: string;
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
