import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { loadKubeconfig } from "../src/kube/kubeconfig.ts";
import { paths } from "../src/kube/paths.ts";
import type { Node } from "../src/kube/types.ts";
import { createPod, deletePod, each, names } from "./load.ts";
import { cpu } from "./proc.ts";
import { type Bench, limitMs, settle, withoutShims } from "./scenarios.ts";
import { type Figure, nowMs, percentile, round } from "./statistics.ts";

/** A path, and for how long its answer is kept: each scrape is one that reads anew. */
const scraped = [
  { path: "/metrics/resource", keptMs: 1_100, rounds: 20 },
  { path: "/stats/summary", keptMs: 10_100, rounds: 5 },
] as const;

/** One scrape with 500 pods, over a connection that is there: from the request to the last byte, and the agent's CPU for it. */
export async function metrics(bench: Bench): Promise<Figure[]> {
  const { client, watcher, nodeName, quick } = bench;
  const pods = names("scraped", quick ? 100 : 500);
  const agent = await bench.startAgent();
  await each(pods, 16, (name) => createPod(client, { name, nodeName, command: ["sleep", "3600"] }));
  await watcher.until("running", pods, limitMs);
  await settle();
  const { status } = await client.get<Node>(paths.nodes(nodeName));
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0;
  const { ca, cert, key, token } = loadKubeconfig(bench.kubeconfig);
  const connection = new Agent({
    keepAlive: true,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && key !== undefined && { cert, key }),
  });
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const scrape = async (path: string): Promise<number> => {
    const asked = request({ host: "127.0.0.1", port, path, agent: connection, headers });
    asked.end();
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode}: ${body}`);
    return body.length;
  };
  const at = `${pods.length} sleeping pods`;
  const figures: Figure[] = [];
  for (const { path, keptMs, rounds } of scraped) {
    await scrape(path);
    const times: number[] = [];
    const used: number[] = [];
    let bytes = 0;
    for (let i = 0; i < (quick ? 2 : rounds); i++) {
      await new Promise((resolve) => setTimeout(resolve, keptMs));
      const [begin, before] = [nowMs(), cpu(agent.pid).own];
      bytes = await scrape(path);
      times.push(nowMs() - begin);
      used.push(cpu(agent.pid).own - before);
    }
    const mean = used.reduce((sum, one) => sum + one, 0) / used.length;
    figures.push(
      {
        scenario: at,
        name: `GET ${path}, p50`,
        value: round(percentile(times, 50)),
        unit: "ms",
        aim: { is: "<", value: 50 },
      },
      { scenario: at, name: `GET ${path}, slowest`, value: round(Math.max(...times)), unit: "ms" },
      { scenario: at, name: `agent's CPU for GET ${path}`, value: round(mean), unit: "ms" },
      { scenario: at, name: `GET ${path}, size`, value: round(bytes / 1000), unit: "kB" },
    );
  }
  connection.destroy();
  await each(pods, 16, (name) => deletePod(client, name, 0));
  await watcher.until("gone", pods, limitMs);
  await withoutShims(agent);
  await agent.stop();
  return figures;
}
