import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../src/config/load.ts";
import type { Pod } from "../src/kube/types.ts";
import { ProviderSession, scriptPod } from "../src/providers/conformanceSession.ts";
import { SlurmProvider } from "../src/providers/slurm/index.ts";
import { SlurmCluster } from "../test/slurm/support/cluster.ts";
import type { Bench } from "./scenarios.ts";
import { type Figure, nowMs, percentile, round } from "./statistics.ts";

/** Pods as jobs of a real Slurm, beside jobs that sbatch submits. Nothing where there is no Slurm. dist/ is what the jobs run. */
export async function slurm({ quick }: Bench): Promise<Figure[]> {
  if (spawnSync("slurmctld", ["-V"], { env: { PATH: `${process.env.PATH}:/usr/sbin` } }).status !== 0) {
    console.log("no Slurm here: its figures are left out");
    return [];
  }
  const cluster = new SlurmCluster();
  const root = mkdtempSync(join(tmpdir(), "hostlet-bench-slurm-"));
  let session: ProviderSession | undefined;
  try {
    await cluster.start();
    const config = await loadConfig({
      env: {},
      home: root,
      flags: { nodeName: "bench", slurmDir: join(root, "shared") },
    });
    session = new ProviderSession({
      open: (context) => new SlurmProvider(context, config, { env: cluster.env() }),
      dispose: async () => {},
    });
    await session.provider.recover();
    const rounds = quick ? 5 : 20;
    return [
      ...(await oneByOne(cluster, session, root, rounds)),
      ...(await together(session, quick ? 20 : 100)),
      ...(await calls(cluster, session, quick ? 50 : 500, quick ? 20 : 60)),
    ];
  } finally {
    await session?.provider.stop();
    await cluster.stop();
    rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

const say = (file: string) => `printf %s "$EPOCHREALTIME" > ${file}`;
const told = (file: string) => Number(readFileSync(file, "utf8")) * 1000;

async function oneByOne(
  cluster: SlurmCluster,
  session: ProviderSession,
  root: string,
  rounds: number,
): Promise<Figure[]> {
  const bare: number[] = [];
  const started: number[] = [];
  const ended: number[] = [];
  for (let n = 0; n < rounds; n++) {
    const file = join(root, `bare-${n}`);
    let begin = nowMs();
    const args = ["--wait", "--output=/dev/null", `--wrap=bash -c '${say(file)}'`];
    execFileSync("sbatch", args, { env: cluster.env(), stdio: "ignore" });
    bare.push(told(file) - begin);
    const pod = scriptPod(`exec bash -c '${say(join(root, `start-${n}`))}; sleep 1; ${say(join(root, `end-${n}`))}'`);
    begin = nowMs();
    session.provider.create(pod);
    await session.phase(pod, "Succeeded");
    ended.push(nowMs() - told(join(root, `end-${n}`)));
    started.push(told(join(root, `start-${n}`)) - begin);
  }
  const figure = (name: string, values: number[]): Figure => {
    return { scenario: "Slurm, one by one", name, value: round(percentile(values, 50)), unit: "ms" };
  };
  return [
    figure("sbatch to the job's first instruction, p50", bare),
    figure("pod created to its first instruction, p50", started),
    figure("end to terminal phase, p50", ended),
  ];
}

async function together(session: ProviderSession, count: number): Promise<Figure[]> {
  const pods = Array.from({ length: count }, () => scriptPod("exit 0"));
  const begin = nowMs();
  for (const pod of pods) session.provider.create(pod);
  for (const pod of pods) await session.phase(pod, "Succeeded");
  const seconds = (nowMs() - begin) / 1000;
  return [
    {
      scenario: `Slurm, ${count} pods at once`,
      name: "pods through their life",
      value: round(count / seconds),
      unit: "1/s",
    },
  ];
}

/** As slurmctld counts them. */
async function calls(
  cluster: SlurmCluster,
  session: ProviderSession,
  count: number,
  seconds: number,
): Promise<Figure[]> {
  const held = (pod: Pod) => {
    pod.metadata!.annotations = { "slurm-job.vk.io/flags": "--hold" };
    return pod;
  };
  const pods = Array.from({ length: count }, () => held(scriptPod("exit 0")));
  for (const pod of pods) session.provider.create(pod);
  for (const pod of pods) await session.update(pod, ({ status }) => /InSlurmQueue/.test(JSON.stringify(status)));
  cluster.command("sdiag", ["--reset"]);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const text = cluster.command("sdiag", []).stdout;
  const answered = [...text.matchAll(/REQUEST_JOB_INFO\w*\s.*?count:(\d+)/g)].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
  const value = round((answered * 60) / seconds);
  return [{ scenario: `Slurm, ${count} jobs that wait`, name: "calls to Slurm", value, unit: "1/min" }];
}
