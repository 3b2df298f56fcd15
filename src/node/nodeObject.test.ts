import { describe, expect, test } from "vitest";
import type { NodeConfig } from "../config/nodeConfig.ts";
import type { NodeCondition } from "../kube/types.ts";
import { nodeObject, nodeReady, nodeStatus, readHostFacts, virtualTaint } from "./nodeObject.ts";
import { testConfig, testFacts } from "./testing/config.ts";

const statusOf = (config: Partial<NodeConfig> = {}, previous: NodeCondition[] = []) =>
  nodeStatus(testConfig(config), testFacts, {
    ip: "10.1.2.3",
    port: 1234,
    runtimeVersion: "process://1",
    now: Date.parse("2026-01-01T00:00:00Z"),
    previous,
    readiness: nodeReady,
  });

describe("the Node", () => {
  test("carries the virtual taint and its own taints", () => {
    const own = { key: "k", effect: "NoExecute" };
    expect(nodeObject(testConfig({ nodeTaints: [own] }), testFacts).spec?.taints).toEqual([virtualTaint, own]);
    expect(nodeObject(testConfig({ disableTaint: true }), testFacts).spec?.taints).toEqual([]);
  });

  test("has the labels that pods select by, and the configured ones over them", () => {
    const { metadata } = nodeObject(testConfig({ nodeLabels: { type: "mine", zone: "a" } }), testFacts);
    expect(metadata?.labels).toEqual({
      "kubernetes.io/hostname": "n1",
      "kubernetes.io/os": "linux",
      "kubernetes.io/arch": "amd64",
      "kubernetes.io/role": "agent",
      type: "mine",
      zone: "a",
    });
  });

  test("says what the host has, unless it is configured", () => {
    expect(statusOf().capacity).toEqual({ cpu: "4", memory: `${8 * 2 ** 20}Ki`, pods: "110" });
    const configured = statusOf({ cpu: "500m", memory: "1Gi", maxPods: 7 });
    expect(configured.allocatable).toEqual({ cpu: "500m", memory: "1Gi", pods: "7" });
  });

  test("says where its kubelet API is", () => {
    expect(statusOf().addresses).toContainEqual({ type: "InternalIP", address: "10.1.2.3" });
    expect(statusOf().daemonEndpoints?.kubeletEndpoint?.Port).toBe(1234);
  });

  test("keeps the transition time of a condition that is the same, and of no other", () => {
    const before = { type: "Ready", status: "True", lastTransitionTime: "2025-01-01T00:00:00Z" };
    expect(statusOf({}, [before]).conditions?.[0]?.lastTransitionTime).toBe("2025-01-01T00:00:00Z");
    expect(statusOf({}, [{ ...before, status: "Unknown" }]).conditions?.[0]?.lastTransitionTime).toBe(
      "2026-01-01T00:00:00Z",
    );
  });

  test("is filled from what this host says", () => {
    const facts = readHostFacts();
    expect(facts.cpus).toBeGreaterThan(0);
    expect(facts.memoryBytes).toBeGreaterThan(0);
    expect(facts.architecture).toMatch(/^(amd64|arm64|[a-z0-9]+)$/);
    expect(facts.osImage).not.toBe("");
  });
});
