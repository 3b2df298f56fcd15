import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { type DevCluster, startDevCluster } from "../../src/devcluster/index.ts";
import { createClient, type KubeClient } from "../../src/kube/client.ts";
import { parseKubeconfig } from "../../src/kube/kubeconfig.ts";
import { paths } from "../../src/kube/paths.ts";
import type { Node, Pod } from "../../src/kube/types.ts";
import { parseManifests } from "../../src/manifest/read.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { until } from "./support/node.ts";

let home: string;
let cluster: DevCluster;
let client: KubeClient;
const running: ChildProcess[] = [];
let said = "";

function start(name: string, args: string[], env: Record<string, string> = {}): void {
  const child = spawn(resolve("bin", name), args, {
    cwd: home,
    env: { PATH: process.env.PATH!, HOME: home, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on("data", (chunk) => {
      said += chunk;
    });
  }
  running.push(child);
}

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "hostlet-vk-"));
  cluster = await startDevCluster({ clock: systemClock, log: silentLogger });
  const access = parseKubeconfig(cluster.kubeconfig("admin"), { file: "of the test" });
  client = createClient(access, { log: silentLogger, clock: systemClock, userAgent: "hostlet-test" });
  writeFileSync(join(home, "kubeconfig.yaml"), cluster.kubeconfig({ node: "vk-1" }), { mode: 0o600 });
});

afterEach(async () => {
  for (const child of running.splice(0).reverse()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    await gone;
  }
  client.close();
  await cluster.stop();
  rmSync(home, { recursive: true, force: true });
});

test("vk, interlink and docker-sd, started by hand as interLink's first README has it, run examples/busyecho_k8s.yaml", async () => {
  // Without Docker on the machine that tests it: the sidecar's later flag counts.
  start("docker-sd", ["--runtime", "process"]);
  start("interlink", []);
  const flags = [
    ...["--", "--nodename", "vk-1", "--provider", "knoc", "--provider-config", resolve("scripts/cfg.json")],
    ...["--startup-timeout", "10s", "--klog.v", "2", "--kubeconfig", join(home, "kubeconfig.yaml")],
    ...["--klog.logtostderr", "--log-level", "debug"],
  ];
  start("vk", flags, { KUBELET_PORT: "0", VKUBELET_POD_IP: "127.0.0.1" });
  const ready = async () => {
    const node = await client.get<Node>(paths.nodes("vk-1")).catch(() => undefined);
    return node?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
  };
  await until(ready, `the node is not ready: ${said}`);
  const { status } = await client.get<Node>(paths.nodes("vk-1"));
  expect(status?.capacity).toMatchObject({ cpu: "2", memory: "32Gi", pods: "128" });

  const [example] = parseManifests(readFileSync(resolve("examples/busyecho_k8s.yaml"), "utf8"), "busyecho_k8s.yaml");
  const pod = example!.object as Pod;
  pod.spec!.containers[0]!.command = ["sh", "-c", "echo hello from $(hostname)"]; // nobody waits for its sleep here
  await client.create<Pod>(paths.pods("default"), pod);
  let found: Pod | undefined;
  await until(async () => {
    found = await client.get<Pod>(paths.pods("default", "testvk"));
    return found.status?.phase === "Succeeded";
  }, `the pod does not end: ${said}`);
  expect(found?.metadata?.annotations?.JobID).toBe(found?.metadata?.uid);
  await client.delete(paths.pods("default", "testvk"));
});
