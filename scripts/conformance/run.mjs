#!/usr/bin/env node
// npm run test:conformance: bundles test/conformance/main.ts and the command as they are now, and runs them.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { nodeBundle, root } from "../bundle.mjs";

const dir = mkdtempSync(join(root, "node_modules/.conformance-"));
try {
  await build({
    ...nodeBundle,
    entryPoints: { main: "test/conformance/main.ts", hostlet: "src/cli/main.ts" },
    outdir: dir,
  });
  const { main } = await import(pathToFileURL(join(dir, "main.js")).href);
  process.exitCode = await main(process.argv.slice(2), { root, hostlet: join(dir, "hostlet.js") });
} finally {
  rmSync(dir, { recursive: true, force: true });
}
