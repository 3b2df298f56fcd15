import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { type Pod, podRef } from "../../src/kube/types.ts";
import { ProviderSession, scriptPod } from "../../src/providers/conformanceSession.ts";
import { SlurmProvider } from "../../src/providers/slurm/index.ts";
import { SlurmCluster, until } from "./support/cluster.ts";

const cluster = new SlurmCluster();
beforeAll(() => cluster.start());
afterAll(() => cluster.stop());

let root: string;
let session: ProviderSession;
let slurmConfig: string | undefined;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "hostlet-faults-"));
  slurmConfig = undefined;
  await open();
});
afterEach(async () => {
  await session.provider.stop();
  await cluster.cancelAll();
  rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function open(): Promise<void> {
  const config = await loadConfig({
    env: {},
    home: root,
    flags: {
      nodeName: "slurm",
      slurmDir: join(root, "shared"),
      provider: "slurm",
      slurmPollInterval: "2s",
      ...(slurmConfig && { slurmConfig }),
    },
  });
  session = new ProviderSession({
    open: (context) =>
      new SlurmProvider(context, config, { env: cluster.env(), late: { byItself: 10_000, killed: 2_000 } }),
    dispose: async () => {},
  });
  await session.provider.recover();
}

const long = "echo hello; exec sleep 1000";

async function start(script = long, pod: Pod = scriptPod(script)): Promise<Pod> {
  session.provider.create(pod);
  await session.phase(pod, "Running");
  return pod;
}

const jobOf = (pod: Pod) => cluster.jobOf(pod.metadata?.uid);

const ended = (pod: Pod) => session.of(pod).at(-1)?.status.containerStatuses?.[0]?.state?.terminated;

describe("ends that Slurm makes", () => {
  it("a job that somebody cancels: Failed, SlurmJobCancelled, and no exit code 0, whatever the container made of SIGTERM", async () => {
    const pod = await start("trap 'exit 0' TERM; while :; do sleep 0.1; done");
    cluster.command("scancel", [jobOf(pod)]);
    expect(await session.phase(pod, "Failed")).toMatchObject({ reason: "SlurmJobCancelled" });
    expect(ended(pod)?.reason).toBe("SlurmJobCancelled");
    expect(ended(pod)?.exitCode).toBeGreaterThan(0);
  });

  it("a job whose processes are all killed at once: Failed, and nobody knows how", async () => {
    const pod = await start();
    cluster.killAll(jobOf(pod));
    const { containerStatuses } = await session.phase(pod, "Failed");
    expect(containerStatuses?.[0]?.state?.terminated).toMatchObject({
      exitCode: 137,
      reason: "ContainerStatusUnknown",
    });
  });

  it("a job that is cancelled while it waits never ran", async () => {
    const pod = scriptPod(long);
    pod.metadata!.annotations = { "slurm-job.vk.io/flags": "--hold" };
    session.provider.create(pod);
    await session.update(pod, ({ status }) => /JobHeldUser/.test(JSON.stringify(status)));
    cluster.command("scancel", [jobOf(pod)]);
    expect(await session.phase(pod, "Failed")).toMatchObject({ reason: "SlurmJobCancelled" });
  });

  it("a time limit: SlurmJobTimeout, with a graceful end of the containers before", async () => {
    const pod = scriptPod("trap 'echo ending; exit 0' TERM; while :; do sleep 0.1; done");
    pod.metadata!.annotations = { "slurm-job.hostlet.dev/time": "1" };
    await start("", pod);
    expect(await session.phase(pod, "Failed")).toMatchObject({ reason: "SlurmJobTimeout" });
    expect(ended(pod)?.exitCode).toBeGreaterThan(0);
    expect(await session.log(podRef(pod), "main")).toContain("ending\n");
  });

  it("a deadline of the pod's own comes before Slurm's limit, and is the pod's", async () => {
    const pod = scriptPod(long);
    pod.spec!.activeDeadlineSeconds = 2;
    session.provider.create(pod);
    expect(await session.phase(pod, "Failed")).toMatchObject({ reason: "DeadlineExceeded" });
  });
});

describe("a job that Slurm starts again", () => {
  it("against --no-requeue: restartPolicy Never runs nothing twice", async () => {
    const pod = await start(`echo run >> ${root}/runs; exec sleep 1000`);
    const id = jobOf(pod);
    cluster.command("scontrol", ["update", `JobId=${id}`, "Requeue=1"]);
    expect(cluster.command("scontrol", ["requeue", id]).code).toBe(0);
    await session.phase(pod, "Failed");
    expect(cluster.command("cat", [join(root, "runs")]).stdout).toBe("run\n");
    const state = () => cluster.command("squeue", ["-h", "-a", "-t", "all", "-o", "%T", "-j", id]).stdout;
    await until(() => /CANCELLED/.test(state()), "the end of the second start");
  });
});

describe("a submission whose answer is lost", () => {
  it("is found, and not repeated", async () => {
    await session.provider.stop();
    // The real sbatch, whose answer does not arrive.
    const sbatch = join(root, "sbatch");
    writeFileSync(
      sbatch,
      '#!/bin/sh\nsbatch "$@" >/dev/null\necho "sbatch: error: Socket timed out on send/recv operation" >&2\nexit 1\n',
    );
    chmodSync(sbatch, 0o755);
    slurmConfig = join(root, "SlurmConfig.yaml");
    writeFileSync(slurmConfig, `SbatchPath: ${sbatch}\n`);
    await open();
    const pod = scriptPod("echo once; exit 0");
    session.provider.create(pod);
    await session.phase(pod, "Succeeded");
    expect(await session.log(podRef(pod), "main")).toBe("once\n");
    const jobs = cluster.command("squeue", ["-h", "-a", "-t", "all", "-o", "%k"]).stdout;
    expect(jobs.split("\n").filter((comment) => comment === `hostlet:${pod.metadata?.uid}`)).toHaveLength(1);
  });

  it("and submitted twice all the same runs the pod once", async () => {
    const pod = await start(`echo run >> ${root}/runs; exec sleep 1000`);
    const id = jobOf(pod);
    const script = cluster.command("scontrol", ["write", "batch_script", id, "-"]).stdout;
    writeFileSync(join(root, "again.sh"), script);
    const second = cluster.command("sbatch", ["--parsable", "--wait", "-o", "/dev/null", join(root, "again.sh")]);
    expect(second.code).toBe(0);
    expect(cluster.command("cat", [join(root, "runs")]).stdout).toBe("run\n");
    expect(session.provider.get(podRef(pod).uid)?.phase).toBe("Running");
  });
});

describe("Slurm that is away", () => {
  it("fails no pod: how one ends is told meanwhile, one that is new waits, and one that is deleted goes afterwards", async () => {
    const ending = await start("while [ ! -e done ]; do sleep 0.1; done; exit 3");
    const staying = await start();
    await cluster.stopController();
    const young = scriptPod("exit 0");
    session.provider.create(young);
    await session.update(young, ({ status }) => /SlurmUnavailable/.test(JSON.stringify(status)));
    writeFileSync(
      join(root, "shared/slurm/pods", podRef(ending).uid, "state/pods", podRef(ending).uid, "containers/main/done"),
      "",
    );
    await session.phase(ending, "Failed");
    expect(ended(ending)?.exitCode).toBe(3);
    expect(session.provider.get(podRef(staying).uid)?.phase).toBe("Running");
    session.provider.delete(staying, 0);
    cluster.startController();
    await session.gone(staying);
    await session.phase(young, "Succeeded");
    await until(() => /^idle|^mix/.test(cluster.command("sinfo", ["-h", "-o", "%t"]).stdout), "the node");
  });
});

describe("a shared directory that is late", () => {
  it("a job that ended with a word that is not there yet is waited for", async () => {
    const pod = await start("while [ ! -e done ]; do sleep 0.1; done; exit 3");
    const status = join(root, "shared/slurm/status");
    // The agent sees nothing of what the job writes from now on: as a network file system that tells old news.
    const { provider } = session;
    const hidden = join(root, "shared/slurm/late");
    const { uid } = podRef(pod);
    cluster.command("mkdir", [hidden]);
    const watcher = setInterval(
      () =>
        cluster.command("sh", [
          "-c",
          `grep -l '"over":true' ${status}/${uid}.* 2>/dev/null | xargs -r mv -t ${hidden}`,
        ]),
      20,
    );
    try {
      writeFileSync(join(root, "shared/slurm/pods", uid, "state/pods", uid, "containers/main/done"), "");
      await until(
        () => /FAILED/.test(cluster.command("squeue", ["-h", "-a", "-t", "all", "-o", "%T", "-j", jobOf(pod)]).stdout),
        "the job's end",
      );
      await new Promise((resolve) => setTimeout(resolve, 6_000));
      expect(provider.get(uid)?.phase).toBe("Running");
    } finally {
      clearInterval(watcher);
    }
    cluster.command("sh", ["-c", `mv ${hidden}/* ${status}/`]);
    await session.phase(pod, "Failed");
    expect(ended(pod)?.exitCode).toBe(3);
  });
});

describe("an agent that was away", () => {
  it("hears of a job that was killed, and forgotten by Slurm, that nobody knows how it ended", async () => {
    const pod = await start();
    const id = jobOf(pod);
    await session.provider.stop();
    cluster.killAll(id);
    await until(
      () => !/RUNNING|COMPLETING/.test(cluster.command("squeue", ["-h", "-j", id, "-o", "%T"]).stdout),
      "the end",
    );
    await cluster.forget();
    await session.nextAgent();
    session.provider.update(pod);
    const { containerStatuses } = await session.phase(pod, "Failed");
    expect(containerStatuses?.[0]?.state?.terminated).toMatchObject({
      exitCode: 137,
      reason: "ContainerStatusUnknown",
    });
  });
});
