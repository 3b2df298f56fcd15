import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseKubeconfig } from "../../src/kube/kubeconfig.ts";
import { askKubelet, samplesOf } from "./support/kubeletApi.ts";
import { TestNode, until } from "./support/node.ts";

let node: TestNode;
let logDir: string;
let authorization: string;

beforeAll(async () => {
  logDir = mkdtempSync(join(tmpdir(), "hostlet-log-dir-"));
  writeFileSync(join(logDir, "agent.log"), "what the agent said\n");
  node = await TestNode.start({ logDir });
  authorization = `Bearer ${parseKubeconfig(node.cluster.adminKubeconfig(), { file: "of the test" }).token}`;
  const burn = "i=0; while :; do i=$((i+1)); done";
  await node.run("busy", burn, { volumes: [{ name: "scratch", emptyDir: {} }] });
  await node.run("idle", "sleep 600");
  await node.run("ended", "echo over");
  await Promise.all([node.running("busy"), node.running("idle"), node.ended("ended")]);
});
afterAll(async () => {
  await node.stop();
  rmSync(logDir, { recursive: true });
});

const get = (path: string, method = "GET") =>
  askKubelet(node.port, path, { method, ca: node.cluster.caPem, headers: { authorization } });
async function json<T>(path: string): Promise<T> {
  const { status, text } = await get(path);
  expect(status).toBe(200);
  return JSON.parse(text) as T;
}
const metrics = async (path: string) => {
  const { status, text, contentType } = await get(path);
  expect([status, contentType]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  return samplesOf(text);
};

describe("figures", () => {
  test("/metrics/resource has the node, and each pod that runs; CPU time grows with the work", async () => {
    const series = 'container_cpu_usage_seconds_total{container="main",namespace="default",pod="busy"}';
    await until(async () => ((await metrics("/metrics/resource")).get(series) ?? 0) > 0.3, "the busy pod uses no CPU");
    const samples = await metrics("/metrics/resource");
    expect(
      samples.get('container_memory_working_set_bytes{container="main",namespace="default",pod="idle"}'),
    ).toBeGreaterThan(0);
    // metrics-server leaves out a pod whose CPU time is 0
    expect(
      samples.get('container_cpu_usage_seconds_total{container="main",namespace="default",pod="idle"}'),
    ).toBeGreaterThan(0);
    expect(samples.get('pod_memory_working_set_bytes{namespace="default",pod="idle"}')).toBeGreaterThan(0);
    expect(
      samples.get('container_start_time_seconds{container="main",namespace="default",pod="idle"}'),
    ).toBeGreaterThan(1e9);
    expect(samples.get("node_cpu_usage_seconds_total")).toBeGreaterThan(0);
    expect(samples.get("node_memory_working_set_bytes")).toBeGreaterThan(0);
    expect(samples.get("resource_scrape_error")).toBe(0);
    expect([...samples.keys()].filter((key) => key.includes('"ended"'))).toEqual([]);
  });

  test("/stats/summary has node, pods and containers", async () => {
    interface Figures {
      podRef: { name: string };
      containers: { name: string; logs?: { usedBytes: number } }[];
      volume: { name: string }[];
      process_stats: { process_count: number };
    }
    const { node: host, pods } = await json<{ node: Record<string, unknown>; pods: Figures[] }>("/stats/summary");
    expect(host).toMatchObject({
      nodeName: "node-1",
      cpu: expect.anything(),
      memory: expect.anything(),
      fs: expect.anything(),
    });
    expect(pods.map(({ podRef }) => podRef.name).sort()).toEqual(["busy", "idle"]);
    const busy = pods.find(({ podRef }) => podRef.name === "busy");
    expect(busy).toMatchObject({
      process_stats: { process_count: 1 },
      containers: [{ name: "main", logs: { usedBytes: 0 } }],
    });
  });

  test("/metrics/cadvisor has each container", async () => {
    const keys = [...(await metrics("/metrics/cadvisor")).keys()];
    expect(
      keys.some((key) => key.startsWith("container_memory_working_set_bytes{") && key.includes('pod="busy"')),
    ).toBe(true);
  });

  test("/metrics has what the agent counts of itself", async () => {
    const samples = await metrics("/metrics");
    expect(samples.get("kubelet_running_pods")).toBe(2);
    expect(samples.get('kubelet_running_containers{container_state="exited"}')).toBe(1);
    expect(samples.get('kubelet_runtime_operations_total{operation_type="start_container"}')).toBe(3);
    expect(samples.get("kubelet_pod_start_duration_seconds_count")).toBe(3);
    expect(samples.get("process_resident_memory_bytes")).toBeGreaterThan(1e6);
    expect(samples.has("nodejs_eventloop_lag_seconds")).toBe(true);
  });

  test("/metrics/probes can be read", async () => {
    await metrics("/metrics/probes");
  });
});

describe("the rest", () => {
  test("/pods has the node's pods with their latest status, /runningpods those that run", async () => {
    interface List {
      kind: string;
      items: { metadata: { name: string }; status: { phase?: string } }[];
    }
    const { kind, items } = await json<List>("/pods");
    expect(kind).toBe("PodList");
    const phases = Object.fromEntries(items.map(({ metadata, status }) => [metadata.name, status.phase]));
    expect(phases).toEqual({ busy: "Running", idle: "Running", ended: "Succeeded" });
    const running = await json<List>("/runningpods/");
    expect(running.items.map(({ metadata }) => metadata.name).sort()).toEqual(["busy", "idle"]);
  });

  test("/configz has what tools read of a kubelet's", async () => {
    const { kubeletconfig } = await json<{ kubeletconfig: object }>("/configz");
    expect(kubeletconfig).toMatchObject({
      kind: "KubeletConfiguration",
      maxPods: 110,
      authentication: { anonymous: { enabled: false } },
    });
  });

  test("/logs/ has the node's own log files", async () => {
    expect((await get("/logs/")).text).toContain('<a href="./agent.log">');
    expect((await get("/logs/agent.log")).text).toBe("what the agent said\n");
    for (const path of ["/logs/%2e%2e/%2e%2e/etc/passwd", "/logs/../../etc/passwd", "/logs//etc/passwd"]) {
      expect((await get(path)).status).toBe(404);
    }
  });

  test("/checkpoint says why not: 501", async () => {
    expect(await get("/checkpoint/default/busy/main", "POST")).toMatchObject({
      status: 501,
      text: expect.stringContaining("can't be checkpointed"),
    });
    expect(await get("/checkpoint/default/none/main", "POST")).toMatchObject({ status: 404 });
  });

  test("/healthz says ok", async () => {
    expect(await get("/healthz")).toMatchObject({ status: 200, text: "ok" });
  });
});
