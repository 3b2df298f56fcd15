import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { KubeClient } from "../src/kube/client.ts";
import { paths } from "../src/kube/paths.ts";
import type { Node } from "../src/kube/types.ts";
import { Child } from "./child.ts";
import type { Actions } from "./controlPlane.ts";
import type { Floors, FloorsInput } from "./floors.ts";
import { createConfigMaps, createPod, deletePod, each, names, paced } from "./load.ts";
import { type Cpu, childrenOf, cpu, memory } from "./proc.ts";
import { type Aim, type Figure, nowMs, percentile, round } from "./statistics.ts";
import type { PodWatcher } from "./watcher.ts";

export interface Bench {
  client: KubeClient;
  controlPlane: Actions;
  watcher: PodWatcher;
  kubeconfig: string;
  nodeName: string;
  /** Of this run, removed with it. */
  directory: string;
  quick: boolean;
  /** A new agent process with nothing left of an earlier one's; resolves when it says that it has started. */
  startAgent(): Promise<Child>;
  /** The next agent after one that was killed, on what that has left. */
  startNextAgent(): Promise<Child>;
}

/** A pod whose last action is to write when it ended: what it then still has to do is exit. */
const sleepAndSay = ["bash", "-c", 'sleep 1; printf %s "$EPOCHREALTIME" > "$END_DIR/$POD"'];

/** After this a scenario gives up waiting. */
export const limitMs = 120_000;

const directoryFloor = "mkdir + file + rename";

export async function floors({ kubeconfig, directory, quick }: Bench): Promise<Figure[]> {
  const child = new Child("floors", { kubeconfig, directory, rounds: quick ? 100 : 400 } satisfies FloorsInput);
  const found = await child.message<Floors>();
  await child.stop();
  return [
    { scenario: "floor", name: "spawn() blocks, p50", value: round(found.spawnBlocks, 2), unit: "ms" },
    { scenario: "floor", name: "spawn of true to its exit, p50", value: round(found.spawnToExit, 2), unit: "ms" },
    { scenario: "floor", name: "CPU of a spawn of true", value: round(found.spawnCpu, 2), unit: "ms" },
    { scenario: "floor", name: "status PATCH, p50", value: round(found.patch, 2), unit: "ms" },
    { scenario: "floor", name: "status PATCHes, 8 at a time", value: round(found.patchesPerSecond), unit: "1/s" },
    { scenario: "floor", name: `${directoryFloor}, p50`, value: round(found.directory, 3), unit: "ms" },
    { scenario: "floor", name: `CPU of ${directoryFloor}`, value: round(found.directoryCpu, 3), unit: "ms" },
    { scenario: "floor", name: "fsync, p50", value: round(found.fsync, 3), unit: "ms" },
    { scenario: "floor", name: "CPU of fsync", value: round(found.fsyncCpu, 3), unit: "ms" },
  ];
}

async function seenReady({ client, nodeName }: Bench): Promise<number> {
  const { signal } = new AbortController();
  for await (const event of client.watch<Node>(paths.nodes(), { signal })) {
    if (event.type === "ERROR" || event.type === "DELETED" || event.object.metadata?.name !== nodeName) continue;
    if (event.object.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True")) return nowMs();
  }
  throw new Error("the watch of nodes ended");
}

/** From the start of the agent's process to Ready on its Node, as a watcher sees it. */
export async function startUp(bench: Bench): Promise<Figure[]> {
  const measured: number[] = [];
  for (let i = 0; i < (bench.quick ? 2 : 5); i++) {
    const begin = nowMs();
    const [ready, agent] = await Promise.all([seenReady(bench), bench.startAgent()]);
    measured.push(ready - begin);
    await agent.stop();
    await bench.client.delete(paths.nodes(bench.nodeName));
  }
  return [{ scenario: "start", name: "start-up to Ready, p50", value: round(percentile(measured, 50)), unit: "ms" }];
}

/** Pods that come one by one, each with a ConfigMap of its own, on a node that has nothing else to do. */
export async function latency(bench: Bench): Promise<Figure[]> {
  const { client, watcher, nodeName, quick } = bench;
  const pods = names("steady", quick ? 50 : 300);
  const ends = join(bench.directory, "ends");
  mkdirSync(ends);
  await createConfigMaps(client, pods);
  const agent = await bench.startAgent();
  const before = cpu(agent.pid);
  await paced(pods, 10, (name) =>
    createPod(client, {
      name,
      nodeName,
      configMap: name,
      command: sleepAndSay,
      env: { END_DIR: ends, POD: name, LC_ALL: "C" },
    }),
  );
  await watcher.until("terminal", pods, limitMs);
  const used = await cpuSince(agent, before, pods.length);
  const toRunning = pods.map((name) => between(watcher.of(name).bound, watcher.of(name).running));
  const toTerminal = pods.map((name) => {
    const ended = Number(readFileSync(join(ends, name), "utf8")) * 1000;
    return between(ended, watcher.of(name).terminal);
  });
  await each(pods, 16, (name) => deletePod(client, name));
  await watcher.until("gone", pods, limitMs);
  await withoutShims(agent);
  await agent.stop();
  const at = "10 pods/s";
  return [
    { scenario: at, name: "bound to Running, p50", ...ms(toRunning, 50), aim: below(12) },
    { scenario: at, name: "bound to Running, p99", ...ms(toRunning, 99), aim: below(50) },
    { scenario: at, name: "exit to terminal phase, p50", ...ms(toTerminal, 50) },
    { scenario: at, name: "exit to terminal phase, p99", ...ms(toTerminal, 99), aim: below(50) },
    { scenario: at, name: "agent's own CPU a pod", value: round(used.own, 2), unit: "ms" },
    { scenario: at, name: "CPU of shims and payloads a pod", value: round(used.children, 2), unit: "ms" },
  ];
}

function below(value: number): Aim {
  return { is: "<", value };
}

function between(from: number | undefined, to: number | undefined): number {
  if (from === undefined || to === undefined) throw new Error("a moment was not seen");
  return to - from;
}

function ms(values: number[], p: number): { value: number; unit: string } {
  return { value: round(percentile(values, p)), unit: "ms" };
}

/** The children of the agent's spawner. */
function shimsOf(agent: Child): number[] {
  return childrenOf(agent.pid).flatMap(childrenOf);
}

/** A pod is gone from the API server before its shim is: that one still has a tree to look after. */
export async function withoutShims(agent: Child): Promise<void> {
  const end = performance.now() + 20_000;
  while (shimsOf(agent).length > 0) {
    if (performance.now() > end) throw new Error(`the agent still has ${shimsOf(agent).length} shims`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Once no shim is left, so that what they used is accounted for. Per pod. */
async function cpuSince(agent: Child, before: Cpu, pods: number): Promise<Cpu> {
  await withoutShims(agent);
  const after = cpu(agent.pid);
  return { own: (after.own - before.own) / pods, children: (after.children - before.children) / pods };
}

/** All at once: created, run, seen to succeed, deleted, gone. */
export async function throughput(bench: Bench): Promise<Figure[]> {
  const { client, watcher, nodeName, quick } = bench;
  const pods = names("burst", quick ? 100 : 500);
  await createConfigMaps(client, pods);
  const agent = await bench.startAgent();
  const before = cpu(agent.pid);
  const deleting: Promise<void>[] = [];
  watcher.onMoment = (name, moment) => {
    if (moment === "terminal") deleting.push(deletePod(client, name));
  };
  const begin = nowMs();
  await each(pods, 32, (name) => createPod(client, { name, nodeName, configMap: name, command: ["true"] }));
  await watcher.until("gone", pods, limitMs);
  const seconds = (Math.max(...pods.map((name) => watcher.of(name).gone ?? Number.NaN)) - begin) / 1000;
  watcher.onMoment = () => {};
  await Promise.all(deleting);
  const used = await cpuSince(agent, before, pods.length);
  const failed = pods.filter((name) => watcher.of(name).phase !== "Succeeded").length;
  const toRunningOrEnd = pods.map((name) => between(watcher.of(name).bound, watcher.of(name).terminal));
  await agent.stop();
  const at = `${pods.length} at once`;
  return [
    {
      scenario: at,
      name: "pods through their whole life",
      value: round(pods.length / seconds),
      unit: "1/s",
      aim: { is: ">", value: 80 },
    },
    { scenario: at, name: "pods that did not succeed", value: failed, unit: "", aim: { is: "=", value: 0 } },
    { scenario: at, name: "bound to terminal, p99", ...ms(toRunningOrEnd, 99) },
    { scenario: at, name: "agent's own CPU a short pod", value: round(used.own, 2), unit: "ms" },
    { scenario: at, name: "CPU of shims and payloads a short pod", value: round(used.children, 2), unit: "ms" },
    {
      scenario: at,
      name: "CPU a short pod, all",
      value: round(used.own + used.children, 2),
      unit: "ms",
      aim: below(6),
    },
  ];
}

/** With nothing to do, and with pods that sleep. */
export async function memoryUse(bench: Bench): Promise<Figure[]> {
  const { client, watcher, nodeName, quick } = bench;
  const pods = names("sleeper", quick ? 100 : 500);
  await createConfigMaps(client, pods);
  const agent = await bench.startAgent();
  await settle();
  const idle = memory(agent.pid);
  await each(pods, 16, (name) => createPod(client, { name, nodeName, configMap: name, command: ["sleep", "3600"] }));
  await watcher.until("running", pods, limitMs);
  await settle();
  const full = memory(agent.pid);
  const shims = shimsOf(agent);
  const [spawner] = childrenOf(agent.pid);
  const shimsTotal = shims.reduce((sum, pid) => sum + memory(pid).pss, 0);
  const spawnerPss = memory(spawner ?? -1).pss;
  const before = cpu(agent.pid);
  await settle();
  const idling = cpu(agent.pid).own - before.own;
  await each(pods, 16, (name) => deletePod(client, name, 0));
  await watcher.until("gone", pods, limitMs);
  await withoutShims(agent);
  await agent.stop();
  const at = `${pods.length} sleeping pods`;
  return [
    { scenario: "0 pods", name: "agent's RSS, idle", value: round(idle.rss), unit: "MB" },
    { scenario: "0 pods", name: "agent's PSS, idle", value: round(idle.pss), unit: "MB" },
    { scenario: at, name: "agent's RSS", value: round(full.rss), unit: "MB", aim: below(80) },
    { scenario: at, name: "agent's PSS", value: round(full.pss), unit: "MB" },
    { scenario: at, name: "shims", value: shims.length, unit: "" },
    { scenario: at, name: "all shims' PSS", value: round(shimsTotal), unit: "MB" },
    { scenario: at, name: "spawner's PSS", value: round(spawnerPss, 2), unit: "MB" },
    { scenario: at, name: "agent's CPU meanwhile", value: round(idling / (settleMs / 1000), 2), unit: "ms/s" },
  ];
}

const settleMs = 5000;
/** Long enough for events and timers of what came before. */
export const settle = () => new Promise((resolve) => setTimeout(resolve, settleMs));
