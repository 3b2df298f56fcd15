import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../../src/cli/run.ts";
import { memoryIo } from "../../integration/support/memoryIo.ts";

/** `hostlet run FILE` with these variables; in a home of its own. */
export async function runManifest(file: string, env: Record<string, string>) {
  const home = mkdtempSync(join(tmpdir(), "hostlet-home-"));
  try {
    const memory = memoryIo({ HOME: home, ...env });
    const code = await run([file], {}, memory.io);
    return { code, stdout: memory.stdout(), stderr: memory.stderr() };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

export function exampleFile(name: string): string {
  return fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url));
}
