import { spawn } from "node:child_process";
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../src/clock.ts";
import { createClient } from "../src/kube/client.ts";
import { loadKubeconfig } from "../src/kube/kubeconfig.ts";
import { paths } from "../src/kube/paths.ts";
import { silentLogger } from "../src/telemetry/log.ts";
import { input, tell } from "./child.ts";
import { createPod, deletePod, each, names, namespace } from "./load.ts";
import { cpu } from "./proc.ts";
import { percentile } from "./statistics.ts";

/** What nothing that starts processes and reports them to an API server can go below, on this machine, now. */
export interface Floors {
  /** ms that spawn() holds up the event loop, in a process as small as this one. */
  spawnBlocks: number;
  /** ms from before spawn() of `true` to its exit as Node sees it. */
  spawnToExit: number;
  /** CPU ms of one spawn of `true`, the child's included. */
  spawnCpu: number;
  /** ms of one PATCH of a pod's status, one after another, on several pods in turn. */
  patch: number;
  /** PATCHes a second, 8 at a time. */
  patchesPerSecond: number;
  /** ms of a new directory, a small file in it, and renaming that: two inodes. */
  directory: number;
  directoryCpu: number;
  /** ms of an fsync after a small write. */
  fsync: number;
  fsyncCpu: number;
}

export interface FloorsInput {
  kubeconfig: string;
  /** On the file system that is measured. */
  directory: string;
  rounds: number;
}

const { kubeconfig, directory, rounds } = await input<FloorsInput>();

function spawnTrue(): Promise<{ blocked: number; total: number }> {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn("/bin/true", [], { detached: true, stdio: "ignore" });
    const blocked = performance.now() - begin;
    child.once("error", reject);
    child.once("exit", () => resolve({ blocked, total: performance.now() - begin }));
  });
}

async function spawns(): Promise<Pick<Floors, "spawnBlocks" | "spawnToExit" | "spawnCpu">> {
  for (let i = 0; i < 20; i++) await spawnTrue();
  const before = cpu(process.pid);
  const measured = [];
  for (let i = 0; i < rounds; i++) measured.push(await spawnTrue());
  const after = cpu(process.pid);
  return {
    spawnBlocks: percentile(
      measured.map((m) => m.blocked),
      50,
    ),
    spawnToExit: percentile(
      measured.map((m) => m.total),
      50,
    ),
    spawnCpu: (after.own - before.own + after.children - before.children) / rounds,
  };
}

async function patches(): Promise<Pick<Floors, "patch" | "patchesPerSecond">> {
  const client = createClient(loadKubeconfig(kubeconfig), {
    log: silentLogger,
    clock: systemClock,
    userAgent: "hostlet-bench-floors",
  });
  // Writers of one object would wait for each other.
  const pods = names("floor", 8);
  for (const name of pods) await createPod(client, { name, nodeName: "nobody-serves-this-node", command: ["true"] });
  let serial = 0;
  const patch = () => {
    const name = pods[serial % pods.length] as string;
    const status = { message: `patch ${serial++}` };
    return client.patch(paths.pods(namespace, name, "status"), { status }, "strategic");
  };
  for (let i = 0; i < 50; i++) await patch();
  const measured = [];
  for (let i = 0; i < rounds; i++) {
    const begin = performance.now();
    await patch();
    measured.push(performance.now() - begin);
  }
  const begin = performance.now();
  await each(
    Array.from({ length: rounds * 3 }, (_, i) => i),
    8,
    patch,
  );
  const seconds = (performance.now() - begin) / 1000;
  for (const name of pods) await deletePod(client, name, 0);
  client.close();
  return { patch: percentile(measured, 50), patchesPerSecond: (rounds * 3) / seconds };
}

/** Of work that blocks; CPU in user and system mode. */
function blocking(work: (i: number) => void): { ms: number; cpu: number } {
  const before = process.cpuUsage();
  const measured = Array.from({ length: rounds }, (_, i) => {
    const begin = performance.now();
    work(i);
    return performance.now() - begin;
  });
  const { user, system } = process.cpuUsage(before);
  return { ms: percentile(measured, 50), cpu: (user + system) / 1000 / rounds };
}

function files(): Pick<Floors, "directory" | "directoryCpu" | "fsync" | "fsyncCpu"> {
  const own = join(directory, "floors");
  mkdirSync(own);
  const made = blocking((i) => {
    const dir = join(own, String(i));
    mkdirSync(dir);
    const file = openSync(join(dir, "new"), "wx", 0o600);
    writeSync(file, "a line\n");
    closeSync(file);
    renameSync(join(dir, "new"), join(dir, "file"));
  });
  const file = openSync(join(own, "synced"), "wx", 0o600);
  const synced = blocking(() => {
    writeSync(file, "a line\n");
    fsyncSync(file);
  });
  closeSync(file);
  rmSync(own, { recursive: true });
  return { directory: made.ms, directoryCpu: made.cpu, fsync: synced.ms, fsyncCpu: synced.cpu };
}

tell({ ...files(), ...(await spawns()), ...(await patches()) } satisfies Floors);
process.disconnect();
