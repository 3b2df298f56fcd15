import { describe, expect, test } from "vitest";
import type { Pod } from "../../kube/types.ts";
import type { PodStats, Provider } from "../../providers/contract.ts";
import { exposition } from "../../telemetry/exposition.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { cadvisorMetrics } from "./cadvisorMetrics.ts";
import { type NodeFigures, parseCpu, parseMemory } from "./nodeFigures.ts";
import { podMetrics } from "./podMetrics.ts";
import { nanoCores, type Reading, StatsSource } from "./reading.ts";
import { resourceMetrics } from "./resourceMetrics.ts";
import { summaryOf } from "./summary.ts";

const now = Date.parse("2026-01-01T00:00:00Z");
const node = (time = now, cpuNanoseconds = 5e9): NodeFigures => ({
  time,
  startedAt: now - 1000,
  cpuNanoseconds,
  cores: 2,
  memory: { totalBytes: 1000, usageBytes: 800, workingSetBytes: 600, rssBytes: 400, pageFaults: 7, majorPageFaults: 1 },
  fs: { time, capacityBytes: 100, availableBytes: 40, usedBytes: 50, inodes: 10, inodesFree: 4 },
  runningProcesses: 3,
});
const pod: Pod = {
  metadata: { namespace: "ns", name: "p", uid: "u" },
  spec: { containers: [{ name: "c", image: "img" }] },
  status: { startTime: "2025-12-31T00:00:00Z" },
};
const idle: Pod = { metadata: { namespace: "ns", name: "idle", uid: "i" } };
const container = (time = now, cpuNanoseconds = 2e9) => ({
  name: "c",
  time,
  startedAt: now - 500,
  cpuNanoseconds,
  memoryUsageBytes: 30,
  memoryWorkingSetBytes: 20,
  memoryRssBytes: 10,
  processes: 4,
  logBytes: 5,
});
const reading = (time = now, cpu = 2e9): Reading => ({
  node: node(time, 5e9 + cpu),
  pods: [
    { pod, containers: [container(time, cpu)], volumes: [{ name: "scratch", usedBytes: 7 }] },
    { pod: idle, containers: [], volumes: [] },
  ],
  failed: false,
});

describe("the host's figures", () => {
  test("CPU is what is not idle, in hundredths of a second", () => {
    const stat = "cpu  10 20 30 1000 50 6 7 8 9 0\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nprocs_running 4\n";
    expect(parseCpu(stat)).toEqual({ cpuNanoseconds: 730_000_000, cores: 2, runningProcesses: 4 });
  });

  test("memory's working set is without idle files", () => {
    const meminfo = "MemTotal:  100 kB\nMemFree:  20 kB\nInactive(file):  30 kB\nAnonPages: 11 kB\n";
    expect(parseMemory(meminfo, "pgfault 9\npgmajfault 2\n")).toEqual({
      totalBytes: 102_400,
      usageBytes: 81_920,
      workingSetBytes: 51_200,
      rssBytes: 11_264,
      pageFaults: 9,
      majorPageFaults: 2,
    });
  });
});

test.each<[string, Parameters<typeof nanoCores>, number | undefined]>([
  [
    "half a core over ten seconds",
    [
      { time: 10_000, cpuNanoseconds: 5e9 },
      { time: 0, cpuNanoseconds: 0 },
    ],
    5e8,
  ],
  ["nothing to compare with", [{ time: 10_000, cpuNanoseconds: 5e9 }, undefined], undefined],
  [
    "a counter that was set back",
    [
      { time: 10_000, cpuNanoseconds: 1 },
      { time: 0, cpuNanoseconds: 2 },
    ],
    undefined,
  ],
  [
    "no time between",
    [
      { time: 0, cpuNanoseconds: 1 },
      { time: 0, cpuNanoseconds: 0 },
    ],
    undefined,
  ],
])("a rate: %s", (_name, given, expected) => {
  expect(nanoCores(...given)).toBe(expected);
});

describe("/stats/summary", () => {
  test("has node, pods and containers, with rates since the reading before", () => {
    const summary = summaryOf("n1", { latest: reading(now + 10_000, 7e9), previous: reading() });
    expect(summary.node).toMatchObject({
      nodeName: "n1",
      cpu: { usageNanoCores: 5e8, usageCoreNanoSeconds: 12e9 },
      memory: { availableBytes: 400, workingSetBytes: 600, pageFaults: 7 },
      fs: { capacityBytes: 100, availableBytes: 40, usedBytes: 50, inodesUsed: 6 },
    });
    expect(summary.pods).toEqual([
      expect.objectContaining({
        podRef: { namespace: "ns", name: "p", uid: "u" },
        startTime: "2025-12-31T00:00:00Z",
        cpu: { time: "2026-01-01T00:00:10Z", usageNanoCores: 5e8, usageCoreNanoSeconds: 7e9 },
        memory: { time: "2026-01-01T00:00:10Z", usageBytes: 30, workingSetBytes: 20, rssBytes: 10 },
        volume: [expect.objectContaining({ name: "scratch", usedBytes: 7, capacityBytes: 100 })],
        "ephemeral-storage": expect.objectContaining({ usedBytes: 12 }),
        process_stats: { process_count: 4 },
        containers: [expect.objectContaining({ name: "c", logs: expect.objectContaining({ usedBytes: 5 }) })],
      }),
    ]);
  });

  test("with only_cpu_and_memory has nothing of disks and processes", () => {
    const text = JSON.stringify(summaryOf("n1", { latest: reading() }, true));
    expect(text).not.toMatch(/fs|volume|ephemeral|process|logs|rlimit/);
    expect(text).toMatch("workingSetBytes");
  });

  test("has no rate of a container that was started again", () => {
    const latest = reading(now + 10_000, 1e9);
    latest.pods[0]!.containers[0]!.startedAt = now + 5000;
    const [first] = summaryOf("n1", { latest, previous: reading() }).pods;
    expect(first).not.toHaveProperty("cpu.usageNanoCores");
  });
});

describe("/metrics/resource", () => {
  test("has the kubelet's names and labels, and the times of the readings", () => {
    const lines = exposition(resourceMetrics(reading()))
      .split("\n")
      .filter((line) => line && !line.startsWith("#"));
    expect(lines).toEqual([
      `container_cpu_usage_seconds_total{container="c",namespace="ns",pod="p"} 2 ${now}`,
      `container_memory_working_set_bytes{container="c",namespace="ns",pod="p"} 20 ${now}`,
      `container_start_time_seconds{container="c",namespace="ns",pod="p"} ${(now - 500) / 1000}`,
      `node_cpu_usage_seconds_total 7 ${now}`,
      `node_memory_working_set_bytes 600 ${now}`,
      `pod_cpu_usage_seconds_total{namespace="ns",pod="p"} 2 ${now}`,
      `pod_memory_working_set_bytes{namespace="ns",pod="p"} 20 ${now}`,
      "resource_scrape_error 0",
      "scrape_error 0",
    ]);
  });

  test("says when something could not be read", () => {
    expect(exposition(resourceMetrics({ ...reading(), failed: true }))).toMatch(/^resource_scrape_error 1$/m);
  });
});

test("/metrics/cadvisor has the host, each pod and each container", () => {
  const text = exposition(cadvisorMetrics(reading()));
  const of = (labels: string) => `container_cpu_usage_seconds_total{${labels},cpu="total"}`;
  expect(text).toContain(`${of('container="",id="/",image="",name="",namespace="",pod=""')} 7`);
  expect(text).toContain(`${of('container="",id="/pods/u",image="",name="",namespace="ns",pod="p"')} 2`);
  expect(text).toContain(`${of('container="c",id="/pods/u/c",image="img",name="/pods/u/c",namespace="ns",pod="p"')} 2`);
  expect(text).toContain("machine_cpu_cores 2");
});

test("/metrics counts pods and containers by their state", () => {
  const status = {
    containerStatuses: [
      { name: "c", state: { running: {} } },
      { name: "d", state: { terminated: { exitCode: 0 } } },
    ],
  };
  const text = exposition(
    podMetrics("n1", [pod, idle], (uid) => (uid === "u" ? (status as unknown as Pod["status"]) : undefined)),
  );
  expect(text).toContain("kubelet_running_pods 1");
  expect(text).toContain('kubelet_running_containers{container_state="running"} 1');
  expect(text).toContain('kubelet_running_containers{container_state="exited"} 1');
  expect(text).toContain("kubelet_desired_pods 2");
});

describe("readings", () => {
  const setUp = (stats?: () => Promise<PodStats[]>) => {
    const clock = new ManualClock();
    const provider = {
      capabilities: () => ({ stats: stats ? true : "it can't" }),
      list: () => [pod],
      ...(stats && { stats }),
    } as unknown as Provider;
    return { clock, source: new StatsSource({ provider, clock, log: silentLogger, stateDir: "/" }) };
  };
  const counted = () => {
    let passes = 0;
    const stats = async (): Promise<PodStats[]> => {
      passes++;
      return [{ pod: { namespace: "ns", name: "p", uid: "u" }, containers: [container()] }];
    };
    return { stats, passes: () => passes };
  };

  test("are shared by all who ask at the same time, and by those who may be answered with an old one", async () => {
    const { stats, passes } = counted();
    const { clock, source } = setUp(stats);
    await Promise.all([source.read(1000), source.read(1000), source.read(0)]);
    expect(passes()).toBe(1);
    clock.advance(999);
    await source.read(1000);
    expect(passes()).toBe(1);
    clock.advance(1);
    await source.read(1000);
    expect(passes()).toBe(2);
  });

  test("remember one that is long enough ago for a rate", async () => {
    const { clock, source } = setUp(counted().stats);
    const first = await source.read(0);
    clock.advance(1000);
    expect((await source.read(0)).previous).toBeUndefined();
    clock.advance(10_000);
    const { previous, latest } = await source.read(0);
    expect(previous!.node.time).toBeGreaterThanOrEqual(first.latest.node.time);
    expect(latest.node.time - previous!.node.time).toBeGreaterThanOrEqual(5000);
  });

  test("of a Provider without figures have its pods, and the host", async () => {
    const { latest } = await setUp().source.read(0);
    expect(latest.pods).toEqual([{ pod, containers: [], volumes: [] }]);
    expect(latest.node.cpuNanoseconds).toBeGreaterThan(0);
    expect(latest.failed).toBe(false);
  });

  test("that fail say so, and have the host's figures all the same", async () => {
    const { latest } = await setUp(() => Promise.reject(new Error("no"))).source.read(0);
    expect(latest.failed).toBe(true);
    expect(latest.node.memory.totalBytes).toBeGreaterThan(0);
  });
});
