import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { HostletError } from "../../errors.ts";
import type { HostletPackage } from "../../runtimes/process/shim.ts";

/** What a job needs of hostlet; no node_modules, as dist/ is a bundle. */
const parts = ["package.json", "bin", "dist", "shim/bin", "shim/shim.c"];

/**
 * Copies hostlet to where the jobs see it. A job may wait for days: it finds there what it was submitted with, whatever
 * becomes of the installation meanwhile.
 * @returns path of the program
 * @throws {HostletError} ConfigInvalid
 */
export function installFor(root: string, { dir, version }: HostletPackage): string {
  try {
    const bundle = readFileSync(join(dir, "dist/hostlet.js"));
    const hash = createHash("sha256").update(bundle).digest("hex").slice(0, 12);
    const target = join(root, `hostlet-${version}-${hash}`);
    const program = join(target, "bin/hostlet.js");
    if (existsSync(program)) return program;
    const draft = `${target}.${process.pid}`;
    mkdirSync(join(draft, "shim"), { recursive: true, mode: 0o700 });
    for (const part of parts) cpSync(join(dir, part), join(draft, part), { recursive: true });
    try {
      renameSync(draft, target);
    } catch (error) {
      rmSync(draft, { recursive: true, force: true });
      if (!existsSync(program)) throw error; // else another agent was quicker
    }
    return program;
  } catch (cause) {
    throw new HostletError(
      "ConfigInvalid",
      `slurmDir: hostlet can't be copied to ${root}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}
