import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BusConnection } from "../../../src/runtimes/systemd/dbus/connection.ts";
import { SystemdManager } from "../../../src/runtimes/systemd/manager.ts";

/** A manager of systemd, and what finds it in the environment. */
export interface TestManager {
  env: NodeJS.ProcessEnv;
  /** D-Bus dies, and comes back on the same address. */
  restartBus(): Promise<void>;
  /** systemd executes itself again, as after its own update. */
  reexec(): Promise<void>;
  stop(): Promise<void>;
}

/** Why a user manager can't be started here; undefined where it can. */
export function userManagerMissing(): string | undefined {
  if (process.getuid?.() !== 0) return "only root can give a test's systemd a /run of its own";
  const missing = ["/lib/systemd/systemd", "/usr/bin/dbus-daemon"].filter((file) => !existsSync(file));
  return missing.length > 0 ? `not installed: ${missing.join(", ")}` : undefined;
}

/** `systemd --user` with a /run and a bus of its own: it takes nothing of the host's. */
export async function startUserManager(): Promise<TestManager> {
  const dir = mkdtempSync(join(tmpdir(), "hostlet-systemd-"));
  const runtimeDir = join(dir, "run/user/0");
  mkdirSync(runtimeDir, { recursive: true, mode: 0o700 });
  mkdirSync(join(dir, "run/systemd/system"), { recursive: true });
  const log = openSync(join(dir, "log"), "a");
  const socket = join(runtimeDir, "bus");
  const env = { XDG_RUNTIME_DIR: runtimeDir, DBUS_SESSION_BUS_ADDRESS: `unix:path=${socket}` };
  const startBus = async () => {
    rmSync(socket, { force: true });
    const args = ["--session", `--address=unix:path=${socket}`, "--nofork", "--nopidfile"];
    const bus = spawn("dbus-daemon", args, { stdio: ["ignore", log, log], detached: true });
    await answers(bus, async () => existsSync(socket) && (await canConnect(socket)));
    return bus;
  };
  let bus = await startBus();
  // In cgroups of its own, as far as this host has them, and with a /run that nobody else sees.
  const script = `set -e
mount --bind "$0/run" /run
for hierarchy in systemd unified; do
  [ -d /sys/fs/cgroup/$hierarchy ] || continue
  mkdir -p /sys/fs/cgroup/$hierarchy/hostlet-test-$$
  echo $$ > /sys/fs/cgroup/$hierarchy/hostlet-test-$$/cgroup.procs
done
export XDG_RUNTIME_DIR=/run/user/0 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/0/bus
exec /lib/systemd/systemd --user`;
  const manager = spawn("unshare", ["--mount", "--propagation", "private", "/bin/bash", "-c", script, dir], {
    ...{ stdio: ["ignore", log, log], detached: true },
    env: { PATH: process.env.PATH, HOME: dir },
  });
  const ready = () => answersOnBus(socket);
  await answers(manager, ready);
  return {
    env,
    async restartBus() {
      await end(bus, "SIGKILL");
      bus = await startBus();
      // The manager connects again where it is told so, as a restarted dbus.service has it.
      manager.kill("SIGUSR1");
      await answers(manager, ready);
    },
    async reexec() {
      execFileSync("systemctl", ["--user", "daemon-reexec"], { env: { ...process.env, ...env } });
      await answers(manager, ready);
    },
    async stop() {
      await end(manager, "SIGTERM");
      await end(bus, "SIGTERM");
      for (const hierarchy of ["systemd", "unified"]) {
        const group = `/sys/fs/cgroup/${hierarchy}/hostlet-test-${manager.pid}`;
        if (existsSync(group)) execFileSync("find", [group, "-depth", "-type", "d", "-delete"], { stdio: "ignore" });
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

async function answers(child: ChildProcess, condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function canConnect(socket: string): Promise<boolean> {
  const bus = await BusConnection.open(socket, new AbortController().signal).catch(() => undefined);
  bus?.close();
  return bus !== undefined;
}

/** Not by systemctl, which takes a host that was not booted with systemd for offline. */
async function answersOnBus(socket: string): Promise<boolean> {
  const manager = new SystemdManager(socket);
  try {
    return (await manager.version()).length > 0;
  } catch {
    return false;
  } finally {
    manager.stop();
  }
}
