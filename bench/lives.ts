import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { paths } from "../src/kube/paths.ts";
import type { Container, Pod } from "../src/kube/types.ts";
import { Child } from "./child.ts";
import { createPod, deletePod, each, names, namespace, paced, podOf } from "./load.ts";
import { cpu } from "./proc.ts";
import { type Bench, limitMs, settle, withoutShims } from "./scenarios.ts";
import { type Figure, nowMs, percentile, round } from "./statistics.ts";
import type { TargetPorts } from "./target.ts";

/** Pods with all that a life can have: init containers, a sidecar, probes. */
export async function lives(bench: Bench): Promise<Figure[]> {
  const { client, watcher, nodeName, quick } = bench;
  const pods = names("life", quick ? 20 : 100);
  const target = new Child("target", {});
  const { http } = await target.message<TargetPorts>();
  const probe = { tcpSocket: { host: "127.0.0.1", port: http }, periodSeconds: 1 };
  const agent = await bench.startAgent();
  const before = cpu(agent.pid).own;
  await paced(pods, 5, (name) => client.create(paths.pods(namespace), lifeOf(name, nodeName, probe)));
  await watcher.until("terminal", pods, limitMs);
  const used = (cpu(agent.pid).own - before) / pods.length;
  const toRunning = pods.map(
    (name) => (watcher.of(name).running ?? Number.NaN) - (watcher.of(name).bound ?? Number.NaN),
  );
  const failed = pods.filter((name) => watcher.of(name).phase !== "Succeeded").length;
  await each(pods, 16, (name) => deletePod(client, name, 0));
  await watcher.until("gone", pods, limitMs);
  await withoutShims(agent);
  await agent.stop();
  await target.stop();
  const scenario = "5 pods/s of 5 containers";
  return [
    { scenario, name: "bound to Running, p50", value: round(percentile(toRunning, 50)), unit: "ms" },
    { scenario, name: "bound to Running, p99", value: round(percentile(toRunning, 99)), unit: "ms" },
    { scenario, name: "agent's own CPU a pod", value: round(used, 2), unit: "ms" },
    { scenario, name: "pods that did not succeed", value: failed, unit: "", aim: { is: "=", value: 0 } },
  ];
}

function lifeOf(name: string, nodeName: string, probe: NonNullable<Container["readinessProbe"]>): Pod {
  const pod = podOf({ name, nodeName, command: ["sleep", "1"] });
  pod.spec!.containers[0]!.readinessProbe = probe;
  pod.spec!.initContainers = [
    ...["one", "two", "three"].map((init) => ({ name: init, image: "none", command: ["true"] })),
    { name: "side", image: "none", command: ["sleep", "3600"], restartPolicy: "Always", startupProbe: probe },
  ];
  return pod;
}

/** From kill -9 with many pods to the first status that is right again. */
export async function recovery(bench: Bench): Promise<Figure[]> {
  const { client, watcher, nodeName, quick } = bench;
  const staying = names("stays", quick ? 90 : 490);
  const ending = names("ends", 10);
  const pods = [...staying, ...ending];
  const go = join(bench.directory, "go-on");
  const killed = await bench.startAgent();
  await each(pods, 16, (name) => {
    const command = ending.includes(name)
      ? ["bash", "-c", `until [ -e ${go} ]; do sleep 0.2; done`]
      : ["sleep", "3600"];
    return createPod(client, { name, nodeName, command });
  });
  await watcher.until("running", pods, limitMs);
  await settle();
  await killed.kill();
  writeFileSync(go, "");
  await settle();
  const begin = nowMs();
  const agent = await bench.startNextAgent();
  await watcher.until("terminal", ending, limitMs);
  const right = Math.max(...ending.map((name) => watcher.of(name).terminal ?? Number.NaN)) - begin;
  const { items } = await client.list<Pod>(paths.pods(namespace));
  const restarted = items.filter(({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0).length;
  // With a grace period an object goes after its processes: the shims of the killed agent are not this one's children.
  await each(pods, 16, (name) => deletePod(client, name, 2));
  await watcher.until("gone", pods, limitMs);
  await agent.stop();
  const scenario = `kill -9 with ${pods.length} pods`;
  const none = { unit: "", aim: { is: "=", value: 0 } } as const;
  return [
    {
      scenario,
      name: "next agent's start to the last end known",
      value: round(right),
      unit: "ms",
      aim: { is: "<", value: 5000 },
    },
    { scenario, name: "pods that were restarted", value: restarted, ...none },
  ];
}
