import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** A real Slurm of one host, with 64 pretended CPUs, in a directory of its own; all of it as the user who runs the tests. */
export class SlurmCluster {
  readonly dir = mkdtempSync(join(tmpdir(), "hostlet-slurm-"));
  readonly conf = join(this.dir, "slurm.conf");
  readonly #host = hostname();
  #daemons: string[] = [];

  async start(options: { accounting?: SlurmAccounting } = {}): Promise<void> {
    const d = this.dir;
    chmodSync(d, 0o755);
    for (const name of ["run", "log", "state", "spool"]) mkdirSync(join(d, name));
    writeFileSync(join(d, "munge.key"), randomBytes(1024), { mode: 0o600 });
    this.#run("munged", [
      "--force",
      `--socket=${d}/run/munge.sock`,
      `--key-file=${d}/munge.key`,
      `--log-file=${d}/log/munge.log`,
      `--pid-file=${d}/run/munged.pid`,
      `--seed-file=${d}/munge.seed`,
    ]);
    this.#daemons.push("munged");
    const [controller, node] = [await freePort(), await freePort()];
    const accounting = options.accounting ? await options.accounting.start(this) : [];
    writeFileSync(this.conf, `${[...this.#settings(controller, node), ...accounting].join("\n")}\n`, { mode: 0o644 });
    await options.accounting?.ready(this);
    this.startController();
    this.#run("slurmd", ["-f", this.conf, "-N", this.#host]);
    this.#daemons.push("slurmd");
    await until(() => /idle/.test(this.command("sinfo", ["-h", "-o", "%t"]).stdout), "an idle node");
  }

  #settings(controller: number, node: number): string[] {
    const d = this.dir;
    return [
      "ClusterName=test",
      `SlurmctldHost=${this.#host}(127.0.0.1)`,
      `SlurmctldPort=${controller}`,
      `SlurmdPort=${node}`,
      "AuthType=auth/munge",
      `AuthInfo=socket=${d}/run/munge.sock`,
      "CryptoType=crypto/munge",
      `SlurmUser=${userInfo().username}`,
      `SlurmdUser=${userInfo().username}`,
      `StateSaveLocation=${d}/state`,
      `SlurmdSpoolDir=${d}/spool`,
      `SlurmctldPidFile=${d}/run/slurmctld.pid`,
      `SlurmdPidFile=${d}/run/slurmd.pid`,
      `SlurmctldLogFile=${d}/log/slurmctld.log`,
      `SlurmdLogFile=${d}/log/slurmd.log`,
      "ProctrackType=proctrack/linuxproc",
      "TaskPlugin=task/none",
      "SwitchType=switch/none",
      "MpiDefault=none",
      "ReturnToService=2",
      "KillWait=5",
      "MinJobAge=300",
      "SelectType=select/cons_tres",
      "SelectTypeParameters=CR_Core_Memory",
      "DefMemPerCPU=100",
      "SlurmdParameters=config_overrides",
      "SchedulerParameters=sched_min_interval=0,sched_interval=1,bf_interval=1,batch_sched_delay=0",
      "JobAcctGatherType=jobacct_gather/linux",
      "JobAcctGatherFrequency=task=1",
      `NodeName=${this.#host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=100000 State=UNKNOWN`,
      `PartitionName=debug Nodes=${this.#host} Default=YES MaxTime=INFINITE State=UP`,
      `PartitionName=short Nodes=${this.#host} MaxTime=10 State=UP`,
    ];
  }

  /** A controller without the jobs of before. */
  async forget(): Promise<void> {
    await this.stopController();
    this.startController(["-c"]);
    await until(() => /idle/.test(this.command("sinfo", ["-h", "-o", "%t"]).stdout), "an idle node");
  }

  startController(options: string[] = []): void {
    this.#run("slurmctld", ["-f", this.conf, ...options]);
    this.#daemons.push("slurmctld");
  }

  async stopController(): Promise<void> {
    await this.#end("slurmctld");
  }

  command(name: string, args: string[]): { stdout: string; stderr: string; code: number } {
    const { stdout, stderr, status } = spawnSync(name, args, { env: this.env(), encoding: "utf8" });
    return { stdout, stderr, code: status ?? -1 };
  }

  /** Ends every job, and waits until nothing of them is left. */
  async cancelAll(): Promise<void> {
    this.command("scancel", ["--signal=KILL", "--full", `--user=${userInfo().uid}`]);
    this.command("scancel", [`--user=${userInfo().uid}`]);
    await until(() => this.command("squeue", ["-h"]).stdout.trim() === "", "the end of all jobs");
  }

  jobOf(uid: string | undefined): string {
    const jobs = this.command("squeue", ["-h", "-a", "-t", "all", "-o", "%i %k"]).stdout;
    return new RegExp(`^(\\d+) hostlet:${uid}$`, "m").exec(jobs)?.[1] ?? "";
  }

  /** As a host that loses its power. */
  killAll(id: string): void {
    const pids = this.command("scontrol", ["listpids", id]).stdout.match(/^\d+/gm) ?? [];
    this.command("kill", ["-9", ...pids]);
  }

  env(): NodeJS.ProcessEnv {
    return { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, SLURM_CONF: this.conf };
  }

  async stop(): Promise<void> {
    if (this.#daemons.includes("slurmctld")) await this.cancelAll();
    for (const name of [...this.#daemons].reverse()) await this.#end(name);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }

  async #end(name: string): Promise<void> {
    if (!this.#daemons.includes(name)) return;
    this.#daemons = this.#daemons.filter((daemon) => daemon !== name);
    const pid = Number(readFileSync(join(this.dir, "run", `${name}.pid`), "utf8"));
    process.kill(pid, "SIGTERM");
    await until(() => hasEnded(pid), `the end of ${name}`);
  }

  #run(name: string, args: string[]): void {
    execFileSync(name, args, { stdio: ["ignore", "ignore", "inherit"], env: this.env() });
  }
}

export interface SlurmAccounting {
  /** Between munged and slurmctld. @returns settings of slurm.conf */
  start(cluster: SlurmCluster): Promise<string[]>;
  /** slurm.conf is there; before slurmctld. */
  ready(cluster: SlurmCluster): Promise<void>;
}

function hasEnded(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return true;
  }
}

export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited for ${what} for a minute`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address ? address.port : 0;
}
