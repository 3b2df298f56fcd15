import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createAgentMetrics, type ProbeLabels } from "./agentMetrics.ts";
import { exposition } from "./exposition.ts";
import { Registry } from "./registry.ts";

describe("the text format", () => {
  test("has help, type and a line for each sample, with the time where there is one", () => {
    const samples = [
      { labels: { pod: "p", container: "c" }, value: 1.5, time: 1_700_000_000_123 },
      { labels: {}, value: 2 },
    ];
    expect(exposition([{ name: "a_total", help: "What\nit \\ is", type: "counter", samples }])).toBe(
      '# HELP a_total What\\nit \\\\ is\n# TYPE a_total counter\na_total{pod="p",container="c"} 1.5 1700000000123\na_total 2\n',
    );
  });

  test("leaves out a family without samples", () => {
    expect(exposition([{ name: "a", help: "", type: "gauge", samples: [] }])).toBe("");
  });

  test("says infinities as Prometheus does", () => {
    const samples = [{ value: Number.POSITIVE_INFINITY }, { value: Number.NEGATIVE_INFINITY }, { value: Number.NaN }];
    expect(exposition([{ name: "a", help: "", type: "gauge", samples }])).toMatch(/a \+Inf\na -Inf\na NaN\n$/);
  });

  test("keeps every value of a label on its line, and it can be read back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        const text = exposition([
          { name: "a", help: "h", type: "gauge", samples: [{ labels: { l: value }, value: 1 }] },
        ]);
        const [, , line = ""] = text.split("\n");
        const [, quoted = ""] = /^a\{l="(.*)"\} 1$/s.exec(line) ?? [];
        const read = quoted.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
        expect(read).toBe(value);
      }),
    );
  });
});

describe("the registry", () => {
  test("counts by labels, and forgets what is gone", () => {
    const registry = new Registry();
    const counter = registry.counter("c_total", "h");
    counter.inc({ pod: "a" });
    counter.inc({ pod: "a" }, 2);
    counter.inc({ pod: "b" });
    counter.forget({ pod: "b" });
    expect(exposition(registry.families())).toBe('# HELP c_total h\n# TYPE c_total counter\nc_total{pod="a"} 3\n');
  });

  test("a histogram's buckets hold all that is below", () => {
    const registry = new Registry();
    const histogram = registry.histogram("h_seconds", "h", [1, 2]);
    for (const value of [0.5, 1, 1.5, 3]) histogram.observe(value, { x: "y" });
    expect(exposition(registry.families()).split("\n").slice(2, -1)).toEqual([
      'h_seconds_bucket{x="y",le="1"} 2',
      'h_seconds_bucket{x="y",le="2"} 3',
      'h_seconds_bucket{x="y",le="+Inf"} 4',
      'h_seconds_sum{x="y"} 6',
      'h_seconds_count{x="y"} 4',
    ]);
  });
});

describe("the agent's own figures", () => {
  test("count runtime operations, their errors and their time", async () => {
    let now = 0;
    const metrics = createAgentMetrics(() => now);
    await metrics.timed("start_container", async () => {
      now += 20;
    });
    await expect(metrics.timed("start_container", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    const text = exposition(metrics.registry.families());
    expect(text).toContain('kubelet_runtime_operations_total{operation_type="start_container"} 2');
    expect(text).toContain('kubelet_runtime_operations_errors_total{operation_type="start_container"} 1');
    expect(text).toContain('kubelet_runtime_operations_duration_seconds_sum{operation_type="start_container"} 0.02');
  });

  test("count probes by result, until their pod is gone", () => {
    const metrics = createAgentMetrics();
    const probe: ProbeLabels = { probe_type: "Liveness", container: "c", pod: "p", namespace: "ns", pod_uid: "u" };
    metrics.probed(probe, "successful", 0.01);
    expect(exposition(metrics.probes.families())).toContain(
      'prober_probe_total{container="c",namespace="ns",pod="p",pod_uid="u",probe_type="Liveness",result="successful"} 1',
    );
    metrics.forgetProbes("u");
    expect(exposition(metrics.probes.families())).toBe("");
  });
});
