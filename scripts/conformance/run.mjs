#!/usr/bin/env node
// npm run test:conformance: bundles test/conformance/main.ts and the command as they are now, and runs them as root in network and
// mount namespaces of their own, so that the pods' bridge and namespaces are none of the machine's.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { nodeBundle, root } from "../bundle.mjs";

const inside = "HOSTLET_CONFORMANCE_INSIDE";
if (process.env[inside]) {
  process.exitCode = await run(process.argv.slice(2));
} else {
  // What has to be fetched is fetched out here.
  for (const script of ["scripts/conformance/get.sh", "scripts/control-plane/get.sh"]) {
    const { status } = spawnSync(join(root, script), ["1.20.2"], { stdio: ["ignore", "ignore", "inherit"] });
    if (status !== 0) process.exit(status ?? 1);
  }
  const script = 'ip link set lo up && exec "$@"';
  const args = ["--net", "--mount", "sh", "-c", script, "sh", process.execPath, ...process.argv.slice(1)];
  const { status } = spawnSync("unshare", args, { stdio: "inherit", env: { ...process.env, [inside]: "1" } });
  process.exitCode = status ?? 1;
}

async function run(args) {
  const dir = mkdtempSync(join(root, "node_modules/.conformance-"));
  try {
    await build({
      ...nodeBundle,
      entryPoints: { main: "test/conformance/main.ts", hostlet: "src/cli/main.ts" },
      outdir: dir,
    });
    const { main } = await import(pathToFileURL(join(dir, "main.js")).href);
    return await main(args, { root, hostlet: join(dir, "hostlet.js") });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
