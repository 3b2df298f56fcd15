import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { paths } from "../src/kube/paths.ts";
import type { Node, Pod } from "../src/kube/types.ts";
import { createConfigMaps, createPod, deletePod, each, names, namespace } from "./load.ts";
import { type Bench, limitMs, settle, withoutShims } from "./scenarios.ts";
import { type Figure, nowMs, round } from "./statistics.ts";

const isTrue = (conditions: { type: string; status: string }[] | undefined) =>
  conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;

/** The API server is away while pods run and half of them end; what the cluster believes after its return. */
export async function away(bench: Bench): Promise<Figure[]> {
  const { client, controlPlane, watcher, nodeName, quick } = bench;
  const awayMs = (quick ? 15 : 120) * 1000;
  const ending = names("ending", 10);
  const staying = names("staying", 10);
  const pods = [...ending, ...staying];
  const go = join(bench.directory, "go");
  await createConfigMaps(client, pods);
  const agent = await bench.startAgent();
  const untilGo = ["bash", "-c", `until [ -e "$GO" ]; do sleep 0.2; done`];
  await each(pods, 8, (name) => {
    const command = ending.includes(name) ? untilGo : ["sleep", "3600"];
    return createPod(client, { name, nodeName, configMap: name, command, env: { GO: go } });
  });
  await watcher.until("running", pods, limitMs);
  await settle();

  await controlPlane.away();
  await sleep(awayMs / 2);
  writeFileSync(go, "");
  await sleep(awayMs / 2);
  const [back, ready] = await Promise.all([listening(client.server), controlPlane.back().then(nowMs)]);
  await watcher.until("terminal", ending, limitMs);
  const right = Math.max(...ending.map((name) => watcher.of(name).terminal ?? Number.NaN)) - back;

  // A cluster that missed the Lease may come to its verdict after that, and the agent has to contradict it.
  await sleep(laterMs);
  const found = await client.list<Pod>(paths.pods(namespace));
  const podOf = (name: string) => found.items.find(({ metadata }) => metadata?.name === name)?.status;
  const node = await client.get<Node>(paths.nodes(nodeName));
  const wrongEnds = ending.filter((name) => podOf(name)?.phase !== "Succeeded").length;
  const wrongStays = staying.filter((name) => !isTrue(podOf(name)?.conditions)).length;
  const restarts = staying.filter((name) => podOf(name)?.containerStatuses?.[0]?.restartCount !== 0).length;

  await each(pods, 16, (name) => deletePod(client, name, 0));
  await watcher.until("gone", pods, limitMs);
  await withoutShims(agent);
  await agent.stop();
  const scenario = `away for ${awayMs / 1000} s`;
  const none = { unit: "", aim: { is: "=", value: 0 } } as const;
  const later = `${laterMs / 1000} s later`;
  return [
    {
      scenario,
      name: "its return to the last end known",
      value: round(right),
      unit: "ms",
      aim: { is: "<", value: 5000 },
    },
    { scenario, name: "its return to its own /readyz", value: round(Math.max(0, ready - back)), unit: "ms" },
    { scenario, name: `ended pods not Succeeded, ${later}`, value: wrongEnds, ...none },
    { scenario, name: `running pods not Ready, ${later}`, value: wrongStays, ...none },
    { scenario, name: "running pods that were restarted", value: restarts, ...none },
    { scenario, name: `Node not Ready, ${later}`, value: isTrue(node.status?.conditions) ? 0 : 1, ...none },
  ];
}

/** When it accepts connections, which is before it says that it is ready; ms since the epoch. */
async function listening(url: string): Promise<number> {
  const { hostname, port } = new URL(url);
  for (;;) {
    const accepted = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), hostname);
      socket.once("error", () => resolve(false));
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
    });
    if (accepted) return nowMs();
    await sleep(10);
  }
}

const laterMs = 15_000;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
