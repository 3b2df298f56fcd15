import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { freePort, type SlurmAccounting, type SlurmCluster, until } from "./cluster.ts";

/** slurmdbd on a MariaDB without a network, both as the user who runs the tests. */
export class Accounting implements SlurmAccounting {
  readonly #children: ChildProcess[] = [];

  static missing(): string[] {
    const path = `${process.env.PATH}:/usr/sbin:/sbin`.split(":");
    return ["mariadbd", "mariadb-install-db", "slurmdbd"].filter(
      (name) => !path.some((dir) => existsSync(join(dir, name))),
    );
  }

  async start(cluster: SlurmCluster): Promise<string[]> {
    const d = cluster.dir;
    const socket = join(d, "run/mysql.sock");
    mkdirSync(join(d, "db"));
    const base = ["--no-defaults", `--datadir=${d}/db`];
    const install = [...base, "--auth-root-authentication-method=normal", "--skip-test-db"];
    execFileSync("mariadb-install-db", install, { env: cluster.env(), stdio: ["ignore", "ignore", "inherit"] });
    const server = [
      ...base,
      `--socket=${socket}`,
      "--skip-networking",
      "--skip-grant-tables",
      `--pid-file=${d}/run/mysql.pid`,
    ];
    this.#spawn(
      "mariadbd",
      [...server, `--log-error=${d}/log/mysql.log`, "--innodb-buffer-pool-size=64M"],
      cluster.env(),
    );
    await until(() => existsSync(socket), "MariaDB");
    const port = await freePort();
    const host = hostname();
    const settings = [
      "AuthType=auth/munge",
      `AuthInfo=socket=${d}/run/munge.sock`,
      `DbdHost=${host}`,
      "DbdAddr=127.0.0.1",
      `DbdPort=${port}`,
      `SlurmUser=${userInfo().username}`,
      `LogFile=${d}/log/slurmdbd.log`,
      `PidFile=${d}/run/slurmdbd.pid`,
      "StorageType=accounting_storage/mysql",
      "StorageHost=localhost",
      `StorageUser=${userInfo().username}`,
      "StorageLoc=slurm",
    ];
    const conf = join(d, "slurmdbd.conf");
    writeFileSync(conf, `${settings.join("\n")}\n`, { mode: 0o600 });
    const env = { ...cluster.env(), SLURM_CONF: join(d, "slurm.conf"), MYSQL_UNIX_PORT: socket, SLURMDBD_CONF: conf };
    this.#spawn("slurmdbd", ["-D"], env);
    return [
      "AccountingStorageType=accounting_storage/slurmdbd",
      "AccountingStorageHost=127.0.0.1",
      `AccountingStoragePort=${port}`,
      `AccountingStoragePass=${d}/run/munge.sock`,
      "AccountingStoreFlags=job_comment",
    ];
  }

  /** Before slurmctld, which ends where its cluster is not known. */
  async ready(cluster: SlurmCluster): Promise<void> {
    await until(() => cluster.command("sacctmgr", ["-n", "show", "cluster"]).code === 0, "slurmdbd");
    cluster.command("sacctmgr", ["-i", "add", "cluster", "test"]);
  }

  async stop(): Promise<void> {
    for (const child of this.#children.splice(0).reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exit = once(child, "exit");
      child.kill("SIGTERM");
      await exit;
    }
  }

  #spawn(name: string, args: string[], env: NodeJS.ProcessEnv): void {
    this.#children.push(spawn(name, args, { env, stdio: ["ignore", "ignore", "inherit"] }));
  }
}
