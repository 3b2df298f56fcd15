#!/usr/bin/env node
// Bundles src/cli/main.ts and everything that it imports into dist/hostlet.js. What is imported lazily (`await import()`)
// lands in chunks of its own beside it, so that a command loads only what it needs.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { nodeBundle, root } from "./bundle.mjs";

rmSync(join(root, "dist"), { recursive: true, force: true });
await build({ ...nodeBundle, entryPoints: { hostlet: "src/cli/main.ts" }, outdir: "dist" }).catch(() => {
  process.exitCode = 1; // esbuild has said why
});
