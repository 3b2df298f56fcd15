import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { isAlreadyExists } from "../../src/kube/apiError.ts";
import { createClient, type KubeClient } from "../../src/kube/client.ts";
import { loadKubeconfig } from "../../src/kube/kubeconfig.ts";
import { paths } from "../../src/kube/paths.ts";
import { retry } from "../../src/kube/retry.ts";
import type { Pod } from "../../src/kube/types.ts";
import { silentLogger } from "../../src/telemetry/log.ts";

/** `HOSTLET_SEED` repeats a run. */
const seed = Number(process.env.HOSTLET_SEED ?? Date.now() % 1_000_000);
const kills = Number(process.env.HOSTLET_KILLS ?? 20);
const podCount = 50;

/** A small generator of numbers in [0, 1), the same for the same seed. */
function random(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

let home: string;
let up: ChildProcess | undefined;
const abort = new AbortController();

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "hostlet-chaos-"));
});

afterEach(async () => {
  if (up?.pid !== undefined && up.exitCode === null) {
    up.kill("SIGTERM");
    await once(up, "exit");
  }
  rmSync(home, { recursive: true, force: true });
});

function spawnUp(): { child: ChildProcess; ready: Promise<void> } {
  const child = spawn(process.execPath, [resolve("bin/hostlet.js"), "up"], {
    env: { ...process.env, HOME: home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  up = child;
  let said = "";
  child.stderr!.on("data", (chunk) => {
    said += chunk;
  });
  const ready = new Promise<void>((resolveReady, failed) => {
    child.stdout!.on("data", (chunk) => {
      said += chunk;
      if (said.includes("Ready")) resolveReady();
    });
    child.once("exit", (code, signal) => failed(new Error(`hostlet up ended with ${code ?? signal}: ${said}`)));
  });
  ready.catch(() => {}); // one that is killed before it is ready
  return { child, ready };
}

async function killNow(): Promise<void> {
  const child = up!;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** The address changes with each start: the kubeconfig is read anew for each call. */
async function ask<T>(call: (client: KubeClient) => Promise<T>): Promise<T> {
  return retry(
    async () => {
      const config = loadKubeconfig(join(home, ".hostlet/up/kubeconfig"));
      const client = createClient(config, { log: silentLogger, clock: systemClock, userAgent: "hostlet-chaos" });
      try {
        return await call(client);
      } finally {
        client.close();
      }
    },
    { clock: systemClock, signal: abort.signal, tries: 40, maxMs: 500, retryable: () => true },
  );
}

/** A create whose answer was lost with the process has been made all the same. */
function unlessExists(error: unknown): void {
  if (!isAlreadyExists(error)) throw error;
}

/** What the payloads themselves wrote: the truth that the API is compared with. */
function journal(): string[] {
  const file = join(home, "journal");
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
}

function podNamed(index: number, seconds: number): Pod {
  const name = `p${index}`;
  const script = [
    `echo "start ${name}" >> ${home}/journal`,
    `sleep ${seconds}`,
    `echo "end ${name}" >> ${home}/journal`,
    `exit ${index % 5}`,
  ].join("; ");
  return {
    metadata: { name },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "main", image: "none", command: ["sh", "-c", script] }],
    },
  };
}

/** Processes of this test's pods: their shims, and all that carries the mark of an attempt in this home. */
function processesLeft(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        return command.includes(home) && !command.includes("hostlet.js") ? [`${pid} ${command}`] : [];
      } catch {
        return [];
      }
    });
}

test(`hostlet up killed -9 ${kills} times with ${podCount} pods loses none, runs none twice (seed ${seed})`, async () => {
  const next = random(seed);
  await spawnUp().ready;
  let created = 0;
  const createSome = async (count: number) => {
    for (let i = 0; i < count && created < podCount; i++, created++) {
      const pod = podNamed(created, Math.round(next() * 80) / 10);
      await ask((client) => client.create(paths.pods("default"), pod).catch(unlessExists));
    }
  };
  for (let kill = 0; kill < kills; kill++) {
    // The kill falls into the creation of pods; every fourth also into the recovery after the one before.
    const whileStarting = kill % 4 === 3;
    const restarted = delay(Math.floor(next() * (whileStarting ? 600 : 400)))
      .then(killNow)
      .then(() => {
        const { ready } = spawnUp();
        return (kill + 1) % 4 === 3 && kill + 1 < kills ? undefined : ready;
      });
    await Promise.all([restarted, whileStarting ? undefined : createSome(Math.ceil(podCount / kills))]);
  }
  await createSome(podCount);

  const ended = async () => {
    const { items } = await ask((client) => client.list<Pod>(paths.pods("default")));
    return items.filter((pod) => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed");
  };
  let pods = await ended();
  for (let tries = 0; pods.length < podCount && tries < 200; tries++) {
    await delay(200);
    pods = await ended();
  }

  const told = pods.map(({ metadata, status }) => {
    const terminated = status?.containerStatuses?.[0]?.state?.terminated;
    return `${metadata?.name} ${status?.phase} ${terminated?.exitCode} ${terminated?.reason}`;
  });
  const expected = Array.from({ length: podCount }, (_, i) => {
    const code = i % 5;
    return `p${i} ${code === 0 ? "Succeeded" : "Failed"} ${code} ${code === 0 ? "Completed" : "Error"}`;
  });
  expect(told.sort()).toEqual(expected.sort());

  const lines = journal();
  const once = Array.from({ length: podCount }, (_, i) => [`start p${i}`, `end p${i}`]).flat();
  expect(lines.sort()).toEqual(once.sort());

  for (const { metadata } of pods) await ask((client) => client.delete(paths.pods("default", metadata!.name)));
  // The objects of pods that are over go at once; what is left here goes after them.
  const left = () => [
    ...processesLeft(),
    ...["up/node/pods", "up/node/exits", "pods/default"].flatMap((dir) => readdirSync(join(home, ".hostlet", dir))),
  ];
  for (let tries = 0; tries < 100 && left().length > 0; tries++) await delay(100);
  expect(left()).toEqual([]);
});
