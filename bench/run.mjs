#!/usr/bin/env node
// npm run bench [-- OPTIONS]; docs/reference/figures.md says what is measured
//   --quick           fewer pods, shorter windows
//   --only NAME,NAME  scenarios: floors, start, latency, throughput, memory, lives, recovery, probes, streams, requests, away,
//                     interlink
//   --control-plane   embedded, real:1.34.2 (built by scripts/control-plane/get.sh), or several with commas; by default
//                     embedded, with --markdown both
//   --dir DIR         where all state is: another file system to compare with; by default /dev/shm where that is a tmpfs
//   --markdown        prints the tables of docs/reference/figures.md
//   --json FILE       by default .bench/results/TIME.json
//   --agent-flags     Node's own for the agent: "--cpu-prof --cpu-prof-dir=.bench/profiles" (its figures are then worse)
// Bundles the benchmark and what it measures, as the command itself is bundled, and runs it.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { nodeBundle, root } from "../scripts/bundle.mjs";

mkdirSync(join(root, ".bench"), { recursive: true });
const outdir = mkdtempSync(join(root, ".bench", "build-"));
try {
  await build({
    ...nodeBundle,
    entryPoints: ["main", "agent", "embedded", "real", "floors", "target", "hop"].map((name) =>
      join(root, "bench", `${name}.ts`),
    ),
    outdir,
  });
  await import(pathToFileURL(join(outdir, "main.js")).href);
} finally {
  rmSync(outdir, { recursive: true, force: true });
}
