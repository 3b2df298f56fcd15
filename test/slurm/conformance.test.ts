import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { providerConformance } from "../../src/providers/conformance.ts";
import { SlurmProvider } from "../../src/providers/slurm/index.ts";
import { SlurmCluster } from "./support/cluster.ts";

const cluster = new SlurmCluster();
beforeAll(() => cluster.start());
afterAll(() => cluster.stop());

test("an ordinary user runs this, and so the jobs", () => {
  expect(process.getuid?.()).not.toBe(0);
});

providerConformance("slurm", async () => {
  const root = mkdtempSync(join(tmpdir(), "hostlet-conform-"));
  const flags = { nodeName: "slurm", slurmDir: join(root, "shared"), provider: "slurm" };
  const config = await loadConfig({ env: {}, home: root, flags });
  return {
    open: (context) => new SlurmProvider(context, config, { env: cluster.env() }),
    async dispose() {
      await cluster.cancelAll();
      rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
});
