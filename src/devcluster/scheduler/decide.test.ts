import { describe, expect, it } from "vitest";
import { hostPorts, podRequests } from "../../kube/scheduling/requests.ts";
import type { Node, NodeSelectorRequirement, Pod, PodSpec } from "../../kube/types.ts";
import { decide, type NodeState } from "./decide.ts";

const container = { name: "c", image: "x" };

function pod(spec: Partial<PodSpec> = {}): Pod {
  return { metadata: { name: "p", namespace: "d" }, spec: { containers: [container], ...spec } };
}

function node(name: string, change: Partial<Node> = {}): Node {
  return {
    metadata: { name, labels: { zone: "a", n: "5" } },
    status: { conditions: [{ type: "Ready", status: "True" }], allocatable: { cpu: "2", memory: "1Gi", pods: "10" } },
    ...change,
  };
}

function state(of: Node, pods: Pod[] = []): NodeState {
  const used = new Map<string, number>();
  for (const other of pods) for (const [k, v] of podRequests(other)) used.set(k, (used.get(k) ?? 0) + v);
  return { node: of, used, pods: pods.length, ports: pods.flatMap(hostPorts) };
}

const requests = (cpu: string) => ({ containers: [{ ...container, resources: { requests: { cpu } } }] });
const affinity = (requirement: NodeSelectorRequirement) => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [requirement] }] },
    },
  },
});
const port = { containers: [{ ...container, ports: [{ containerPort: 80, hostPort: 8080 }] }] };
const taint = { key: "virtual-kubelet.io/provider", value: "mock", effect: "NoSchedule" };

describe("the scheduler", () => {
  it.each<[string, Pod, NodeState]>([
    ["takes a node that is ready", pod(), state(node("n"))],
    ["follows a nodeSelector", pod({ nodeSelector: { zone: "a" } }), state(node("n"))],
    [
      "lets a toleration through",
      pod({ tolerations: [{ key: taint.key, operator: "Equal", value: "mock", effect: "NoSchedule" }] }),
      state(node("n", { spec: { taints: [taint] } })),
    ],
    [
      "lets a toleration of everything through",
      pod({ tolerations: [{ operator: "Exists" }] }),
      state(node("n", { spec: { taints: [taint] } })),
    ],
    [
      "ignores a taint that only asks",
      pod(),
      state(node("n", { spec: { taints: [{ key: "k", effect: "PreferNoSchedule" }] } })),
    ],
    ["follows In", pod(affinity({ key: "zone", operator: "In", values: ["a", "b"] })), state(node("n"))],
    ["follows NotIn", pod(affinity({ key: "zone", operator: "NotIn", values: ["b"] })), state(node("n"))],
    ["follows Exists", pod(affinity({ key: "zone", operator: "Exists" })), state(node("n"))],
    ["follows DoesNotExist", pod(affinity({ key: "x", operator: "DoesNotExist" })), state(node("n"))],
    ["follows Gt", pod(affinity({ key: "n", operator: "Gt", values: ["4"] })), state(node("n"))],
    ["follows Lt", pod(affinity({ key: "n", operator: "Lt", values: ["6"] })), state(node("n"))],
    ["fills a node to the last millicore", pod(requests("500m")), state(node("n"), [pod(requests("1500m"))])],
    ["lets two pods use one port of different addresses", pod(port), state(node("n"), [])],
  ])("%s", (_name, asked, on) => {
    expect(decide(asked, [on])).toEqual({ node: "n" });
  });

  it.each<[string, Pod, NodeState[], string]>([
    ["without nodes", pod(), [], "no nodes available to schedule pods"],
    [
      "a selector that no node has",
      pod({ nodeSelector: { zone: "b" } }),
      [state(node("n"))],
      "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ],
    [
      "affinity that no node has",
      pod(affinity({ key: "n", operator: "Gt", values: ["5"] })),
      [state(node("n"))],
      "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ],
    [
      "a taint",
      pod(),
      [state(node("n", { spec: { taints: [taint] } }))],
      "0/1 nodes are available: 1 node(s) had untolerated taint(s).",
    ],
    [
      "a node that is not ready",
      pod(),
      [state(node("n", { status: {} }))],
      "0/1 nodes are available: 1 node(s) had untolerated taint(s).",
    ],
    [
      "a cordoned node",
      pod(),
      [state(node("n", { spec: { unschedulable: true } }))],
      "0/1 nodes are available: 1 node(s) were unschedulable.",
    ],
    [
      "a port that is taken",
      pod(port),
      [state(node("n"), [pod(port)])],
      "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
    ],
    ["too little cpu", pod(requests("3")), [state(node("n"))], "0/1 nodes are available: 1 Insufficient cpu."],
    [
      "too many pods",
      pod(),
      [
        state(
          node("n"),
          Array.from({ length: 10 }, () => pod()),
        ),
      ],
      "0/1 nodes are available: 1 Too many pods.",
    ],
    [
      "a resource that no node has",
      pod({ containers: [{ ...container, resources: { requests: { "x.com/gpu": "1" } } }] }),
      [state(node("n"))],
      "0/1 nodes are available: 1 Insufficient x.com/gpu.",
    ],
    [
      "several nodes, each with its reason",
      pod({ nodeSelector: { zone: "b" } }),
      [state(node("m")), state(node("n")), state(node("o", { spec: { unschedulable: true } }))],
      "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector.",
    ],
  ])("says why not: %s", (_name, asked, nodes, message) => {
    expect(decide(asked, nodes)).toEqual({ message });
  });

  it("takes the emptier of two nodes", () => {
    expect(decide(pod(), [state(node("full"), [pod()]), state(node("empty"))])).toEqual({ node: "empty" });
  });

  it("takes the preferred node even when it is fuller", () => {
    const preferred = pod({
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 10, preference: { matchFields: [{ key: "metadata.name", operator: "In", values: ["full"] }] } },
          ],
        },
      },
    });
    expect(decide(preferred, [state(node("full"), [pod()]), state(node("empty"))])).toEqual({ node: "full" });
  });
});

it("a pod asks for its containers and sidecars, or for its hungriest init container", () => {
  const asks = (cpu: string, more: object = {}) => ({ ...container, resources: { requests: { cpu } }, ...more });
  const big = pod({
    initContainers: [asks("100m", { restartPolicy: "Always" }), asks("2")],
    containers: [asks("1"), asks("500m")],
  });
  expect(podRequests(big).get("cpu")).toBe(2100);
});
