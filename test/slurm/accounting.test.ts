import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import type { Pod } from "../../src/kube/types.ts";
import { ProviderSession, scriptPod } from "../../src/providers/conformanceSession.ts";
import { SlurmProvider } from "../../src/providers/slurm/index.ts";
import { Accounting } from "./support/accounting.ts";
import { SlurmCluster, until } from "./support/cluster.ts";

const missing = Accounting.missing();

describe.skipIf(missing.length > 0)("a Slurm with accounting", () => {
  const cluster = new SlurmCluster();
  const accounting = new Accounting();
  let root: string;
  let session: ProviderSession;

  beforeAll(async () => {
    await cluster.start({ accounting });
  });
  afterAll(async () => {
    await cluster.stop();
    await accounting.stop();
  });
  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "hostlet-accounting-"));
    const flags = { nodeName: "slurm", slurmDir: join(root, "shared"), provider: "slurm", slurmPollInterval: "2s" };
    const config = await loadConfig({ env: {}, home: root, flags });
    const late = { byItself: 10_000, killed: 2_000 };
    session = new ProviderSession({
      open: (context) => new SlurmProvider(context, config, { env: cluster.env(), late }),
      dispose: async () => {},
    });
    await session.provider.recover();
  });
  afterEach(async () => {
    await session.provider.stop();
    await cluster.cancelAll();
    rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  });

  const start = async (): Promise<Pod> => {
    const pod = scriptPod("exec sleep 1000");
    session.provider.create(pod);
    await session.phase(pod, "Running");
    return pod;
  };

  it("tells who cancelled a job", async () => {
    const pod = await start();
    cluster.command("scancel", [cluster.jobOf(pod.metadata?.uid)]);
    const { message } = await session.phase(pod, "Failed");
    expect(message).toMatch(new RegExp(`was cancelled by user ${process.getuid?.()}$`));
  });

  it("knows how a job ended that slurmctld has forgotten while no agent was there", async () => {
    const pod = await start();
    const id = cluster.jobOf(pod.metadata?.uid);
    await session.provider.stop();
    cluster.command("scancel", ["--signal=KILL", "--full", id]);
    cluster.killAll(id);
    await until(() => cluster.command("squeue", ["-h", "-o", "%i"]).stdout.trim() === "", "the end of the job");
    const known = () => cluster.command("sacct", ["-nX", "-j", id, "-o", "State"]).stdout.trim();
    await until(() => /FAILED|CANCELLED|COMPLETED/.test(known()), "accounting of the job");
    await cluster.forget();
    await session.nextAgent();
    session.provider.update(pod);
    const { containerStatuses } = await session.phase(pod, "Failed");
    const { exitCode, message } = containerStatuses?.[0]?.state?.terminated ?? {};
    expect(exitCode).toBeGreaterThan(0);
    expect(message ?? "").not.toMatch(/no longer knows/);
  });
});
