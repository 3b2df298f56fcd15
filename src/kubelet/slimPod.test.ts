import { describe, expect, test } from "vitest";
import type { Pod } from "../kube/types.ts";
import { isNews, slimPod } from "./slimPod.ts";

const gate = "example.com/gate";
const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "default", uid: "u", generation: 1, labels: { a: "b" }, managedFields: [{}] },
  spec: { containers: [{ name: "main" }], readinessGates: [{ conditionType: gate }] },
  status: {
    phase: "Running",
    conditions: [
      { type: "Ready", status: "True" },
      { type: gate, status: "True" },
    ],
  },
};

test("a slim pod keeps identity, spec and the conditions of its readiness gates, and nothing else", () => {
  expect(slimPod(pod)).toEqual({
    metadata: { name: "p", namespace: "default", uid: "u", generation: 1, labels: { a: "b" } },
    spec: pod.spec,
    status: { conditions: [{ type: gate, status: "True" }] },
  });
});

describe("an object is", () => {
  const changed = (more: Partial<Pod>): Pod => ({ ...pod, ...more });
  const meta = (more: Pod["metadata"]): Pod => changed({ metadata: { ...pod.metadata, ...more } });
  test.each<[string, Pod, boolean]>([
    ["no news when only our status came back", changed({ status: { ...pod.status, phase: "Succeeded" } }), false],
    ["news with another label", meta({ labels: { a: "c" } }), true],
    ["news with an annotation", meta({ annotations: { x: "y" } }), true],
    ["news with another spec, which its generation tells", meta({ generation: 2 }), true],
    ["news when it is being deleted", meta({ deletionTimestamp: "2026-01-01T00:00:00Z" }), true],
    ["news when a readiness gate's condition changes", changed({ status: { conditions: [] } }), true],
  ])("%s", (_name, after, expected) => {
    expect(isNews(slimPod(pod), after)).toBe(expected);
  });

  test("always news where the API server counts no generation", () => {
    const { generation: _, ...metadata } = pod.metadata!;
    const old = { ...pod, metadata };
    expect(isNews(slimPod(old), old)).toBe(true);
  });
});
