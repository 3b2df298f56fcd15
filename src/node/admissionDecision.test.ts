import { describe, expect, test } from "vitest";
import { allocatable, podRequests } from "../kube/scheduling/requests.ts";
import type { Node, Pod, PodSpec } from "../kube/types.ts";
import { Admission } from "./admission.ts";
import { type AdmissionState, decideAdmission } from "./admissionDecision.ts";

const node: Node = {
  metadata: { name: "n1", labels: { zone: "a" } },
  spec: {
    taints: [
      { key: "down", effect: "NoExecute" },
      { key: "virtual", effect: "NoSchedule" },
    ],
  },
};
const tolerations = [{ key: "down", operator: "Exists" }];
const resources = { cpu: "2", memory: "1Gi", pods: "3", "nvidia.com/gpu": "1" };

const pod = (spec: Partial<PodSpec>, annotations: Record<string, string> = {}): Pod => ({
  metadata: { namespace: "ns", name: "p", uid: "u", annotations },
  spec: { tolerations, containers: [], ...spec },
});
const asking = (requests: Record<string, string>): Pod => pod({ containers: [{ name: "c", resources: { requests } }] });
const port = (hostPort: number, more: { protocol?: string; hostIP?: string } = {}): Pod =>
  pod({ containers: [{ name: "c", ports: [{ containerPort: 80, hostPort, ...more }] }] });

const state = (more: Partial<AdmissionState> = {}): AdmissionState => ({
  nodeName: "n1",
  node,
  capacity: allocatable(resources),
  used: podRequests(asking({ cpu: "1500m", memory: "512Mi", "nvidia.com/gpu": "1" })),
  pods: 1,
  ports: [{ ip: "0.0.0.0", key: "TCP/8080" }],
  ...more,
});
const affinity = (operator: string, values: string[]): Partial<PodSpec> => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: "zone", operator, values }] }],
      },
    },
  },
});

describe("refused is a pod that", () => {
  const table: Record<string, [Pod, string, string, Partial<AdmissionState>?]> = {
    "asks for more CPU than is left": [
      asking({ cpu: "501m" }),
      "OutOfcpu",
      "Node didn't have enough resource: cpu, requested: 501, used: 1500, capacity: 2000",
    ],
    "asks for more memory than is left": [
      asking({ memory: "600Mi" }),
      "OutOfmemory",
      "Node didn't have enough resource: memory, requested: 629145600, used: 536870912, capacity: 1073741824",
    ],
    "is one too many": [
      pod({}),
      "OutOfpods",
      "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3",
      { pods: 3 },
    ],
    "asks for a device that another one has": [
      asking({ "nvidia.com/gpu": "1" }),
      "OutOfnvidia.com/gpu",
      "Node didn't have enough resource: nvidia.com/gpu, requested: 1, used: 1, capacity: 1",
    ],
    "asks for huge pages, which the node has not": [
      asking({ "hugepages-2Mi": "2Mi" }),
      "OutOfhugepages-2Mi",
      "Node didn't have enough resource: hugepages-2Mi, requested: 2097152, used: 0, capacity: 0",
    ],
    "asks for it in an init container": [
      pod({ initContainers: [{ name: "i", resources: { requests: { cpu: "1" } } }] }),
      "OutOfcpu",
      "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000",
    ],
    "selects another node": [
      pod({ nodeSelector: { zone: "b" } }),
      "NodeAffinity",
      "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    ],
    "requires another node by affinity": [
      pod(affinity("NotIn", ["a"])),
      "NodeAffinity",
      "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    ],
    "is for another node": [
      pod({ nodeName: "n2" }),
      "NodeName",
      "Predicate NodeName failed: node(s) didn't match the requested node name",
    ],
    "wants a port that is taken": [
      port(8080),
      "NodePorts",
      "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
    ],
    "does not tolerate a NoExecute taint": [
      pod({ tolerations: [] }),
      "TaintToleration",
      "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
    ],
    "is for Windows": [
      pod({ os: { name: "windows" } }),
      "PodOSNotSupported",
      "Failed to admit pod as the OS field doesn't match node OS",
    ],
    "selects Windows": [
      pod({ nodeSelector: { "kubernetes.io/os": "windows" } }),
      "PodOSSelectorNodeLabelDoesNotMatch",
      "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
    ],
    "wants too much of several things, for the first of them": [
      pod({ nodeName: "n2", containers: [{ name: "c", resources: { requests: { cpu: "9" } } }] }),
      "OutOfcpu",
      "Node didn't have enough resource: cpu, requested: 9000, used: 1500, capacity: 2000",
    ],
  };
  test.each(Object.entries(table))("%s", (_name, [given, reason, message, more]) => {
    expect(decideAdmission(given, state(more))).toEqual({ reason, message });
  });
});

describe("taken is a pod that", () => {
  const table: Record<string, [Pod, Partial<AdmissionState>?]> = {
    "asks for what is left": [asking({ cpu: "500m", memory: "512Mi" })],
    "asks for nothing": [asking({ cpu: "0" })],
    "asks for a resource that is somebody else's to give": [asking({ "example.org/license": "1" })],
    "wants another port, or the same of another protocol": [port(8081)],
    "wants the same port of another protocol": [port(8080, { protocol: "UDP" })],
    "matches the node": [pod({ nodeSelector: { zone: "a" }, ...affinity("In", ["a"]), nodeName: "n1" })],
    "does not tolerate a NoSchedule taint, which is the scheduler's affair": [pod({})],
    "comes from a file of the node, whatever its taints": [
      pod({ tolerations: [] }, { "kubernetes.io/config.source": "file" }),
    ],
    "comes before the node was seen": [pod({ nodeSelector: { zone: "b" }, tolerations: [] }), { node: undefined }],
  };
  test.each(Object.entries(table))("%s", (_name, [given, more]) => {
    expect(decideAdmission(given, state(more))).toBeUndefined();
  });
});

describe("the account", () => {
  const named = (uid: string, cpu: string): Pod => ({
    ...asking({ cpu }),
    metadata: { namespace: "ns", name: uid, uid },
  });

  test("fills up, and what has ended gives its share back once", () => {
    const admission = new Admission("n1", resources);
    expect(admission.admit(named("a", "1500m"))).toBeUndefined();
    expect(admission.admit(named("a", "1500m"))).toBeUndefined();
    expect(admission.admit(named("b", "1"))?.reason).toBe("OutOfcpu");
    admission.release("a");
    admission.release("a");
    expect(admission.admit(named("b", "2"))).toBeUndefined();
    expect(admission.admit(named("c", "1m"))?.reason).toBe("OutOfcpu");
  });

  test("counts what was here before, though it is more than there is", () => {
    const admission = new Admission("n1", resources);
    admission.take(named("a", "8"));
    expect(admission.admit(named("b", "1m"))?.message).toContain("used: 8000, capacity: 2000");
  });

  test("goes by the Node's labels as they are now", () => {
    const admission = new Admission("n1", resources);
    const picky = pod({ nodeSelector: { zone: "b" } });
    admission.observe(node);
    expect(admission.admit(picky)?.reason).toBe("NodeAffinity");
    admission.observe({ metadata: { labels: { zone: "b" } } });
    expect(admission.admit(picky)).toBeUndefined();
  });
});
