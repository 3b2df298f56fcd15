import type { Requests } from "./controlPlane.ts";
import { createConfigMaps, createPod, deletePod, each, names, paced } from "./load.ts";
import { requestsScenario } from "./report.ts";
import { type Bench, limitMs, settle, withoutShims } from "./scenarios.ts";
import { type Figure, round } from "./statistics.ts";

/** What the agent asks of the API server: for a pod with one ConfigMap through its whole life, and when nothing happens. */
export async function requests(bench: Bench): Promise<Figure[]> {
  const { client, watcher, nodeName, quick } = bench;
  const windowSeconds = quick ? 20 : 60;
  const short = names("asking", quick ? 20 : 50);
  const long = names("silent", 50);
  await createConfigMaps(client, [...short, ...long]);
  const agent = await bench.startAgent();
  await settle();
  const idle = await counted(bench, () => seconds(windowSeconds));

  const life = await counted(bench, async () => {
    const pod = (name: string) => ({ name, nodeName, configMap: name, command: ["sleep", "1"] });
    await paced(short, 10, (name) => createPod(client, pod(name)));
    await watcher.until("terminal", short, limitMs);
    await each(short, 16, (name) => deletePod(client, name));
    await watcher.until("gone", short, limitMs);
    await settle();
  });

  await each(long, 16, (name) => createPod(client, { name, nodeName, configMap: name, command: ["sleep", "3600"] }));
  await watcher.until("running", long, limitMs);
  await settle();
  const full = await counted(bench, () => seconds(windowSeconds));
  await each(long, 16, (name) => deletePod(client, name, 0));
  await watcher.until("gone", long, limitMs);
  await withoutShims(agent);
  await agent.stop();
  const minutes = windowSeconds / 60;
  return [
    sum("a pod's whole life", life, short.length),
    sum("an idle minute, 0 pods", idle, minutes),
    sum(`an idle minute, ${long.length} pods`, full, minutes),
  ];
}

const seconds = (count: number) => new Promise((resolve) => setTimeout(resolve, count * 1000));

async function counted(bench: Bench, work: () => Promise<unknown>): Promise<Requests> {
  const before = await bench.controlPlane.requests();
  await work();
  const after = await bench.controlPlane.requests();
  const differences = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(differences.filter(([, count]) => count > 0));
}

function sum(name: string, counts: Requests, per: number): Figure {
  const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a);
  const all = sorted.reduce((total, [, count]) => total + count, 0);
  return {
    scenario: requestsScenario,
    name,
    value: round(all / per, 2),
    unit: "requests",
    parts: Object.fromEntries(sorted.map(([key, count]) => [key, round(count / per, 2)])),
  };
}
