import { paths } from "../src/kube/paths.ts";
import type { Pod, Probe } from "../src/kube/types.ts";
import { Child } from "./child.ts";
import { deletePod, each, names, namespace, podOf } from "./load.ts";
import { cpu } from "./proc.ts";
import { type Bench, limitMs, settle, withoutShims } from "./scenarios.ts";
import { type Figure, round } from "./statistics.ts";
import type { TargetPorts } from "./target.ts";

const windowMs = 10_000;

/** Running pods with a readiness probe each, which succeeds: what the agent spends on asking. */
export async function probes(bench: Bench): Promise<Figure[]> {
  const target = new Child("target", {});
  const { http, grpc } = await target.message<TargetPorts>();
  const kinds: [string, Probe, number][] = [
    ["none", {}, 0],
    ["HTTP", { httpGet: { host: "127.0.0.1", port: http, path: "/" }, periodSeconds: 1 }, 1],
    ["TCP", { tcpSocket: { host: "127.0.0.1", port: http }, periodSeconds: 1 }, 1],
    ["gRPC", { grpc: { port: grpc }, periodSeconds: 1 }, 1],
    ["HTTP", { httpGet: { host: "127.0.0.1", port: http, path: "/" }, periodSeconds: 10 }, 10],
  ];
  const agent = await bench.startAgent();
  const figures: Figure[] = [];
  let idle = 0;
  for (const [kind, probe, period] of kinds) {
    const { used, count } = await withProbes(bench, agent, kind === "none" ? undefined : probe, `${kind}-${period}`);
    if (kind === "none") idle = used;
    const scenario = kind === "none" ? `${count} pods without probes` : `${count} pods, ${kind} every ${period} s`;
    figures.push({ scenario, name: "agent's CPU", value: round(used), unit: "ms/s" });
    if (period !== 1) continue;
    const each = (used - idle) / count;
    const aim = { is: "<", value: 100 } as const;
    figures.push({ scenario, name: "CPU of 500 probes a second", value: round(each * 500), unit: "ms/s", aim });
  }
  await agent.stop();
  await target.stop();
  return figures;
}

async function withProbes(bench: Bench, agent: Child, probe: Probe | undefined, prefix: string) {
  const { client, watcher, nodeName, quick } = bench;
  const pods = names(`probed-${prefix.toLowerCase()}`, quick ? 100 : 500);
  await each(pods, 16, (name) => {
    const pod: Pod = podOf({ name, nodeName, command: ["sleep", "3600"] });
    if (probe) pod.spec!.containers[0]!.readinessProbe = probe;
    return client.create(paths.pods(namespace), pod);
  });
  await watcher.until("running", pods, limitMs);
  await settle();
  const before = cpu(agent.pid).own;
  await new Promise((resolve) => setTimeout(resolve, windowMs));
  const used = (cpu(agent.pid).own - before) / (windowMs / 1000);
  // With a grace period an object goes after its processes, however busy the machine is.
  await each(pods, 16, (name) => deletePod(client, name, 2));
  await watcher.until("gone", pods, limitMs);
  await withoutShims(agent);
  return { used, count: pods.length };
}
