import { describe, expect, it } from "vitest";
import type { Pod, PodSpec } from "../../kube/types.ts";
import type { Stored } from "../objects.ts";
import { pullPolicy, qosClass, withPodDefaults } from "./pod.ts";

function defaulted(spec: PodSpec): PodSpec {
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec } as unknown as Stored;
  const result = withPodDefaults(pod);
  expect(withPodDefaults(result), "filling in twice changes nothing").toBe(result);
  return (result as Pod).spec as PodSpec;
}

describe("the defaults of a pod", () => {
  it("are those of the API server", () => {
    expect(defaulted({ containers: [{ name: "c", image: "busybox:1" }] })).toEqual({
      containers: [
        {
          name: "c",
          image: "busybox:1",
          imagePullPolicy: "IfNotPresent",
          resources: {},
          terminationMessagePath: "/dev/termination-log",
          terminationMessagePolicy: "File",
        },
      ],
      dnsPolicy: "ClusterFirst",
      enableServiceLinks: true,
      preemptionPolicy: "PreemptLowerPriority",
      priority: 0,
      restartPolicy: "Always",
      schedulerName: "default-scheduler",
      securityContext: {},
      serviceAccount: "default",
      serviceAccountName: "default",
      terminationGracePeriodSeconds: 30,
      tolerations: [
        { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
        { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
      ],
    });
  });

  it("leave alone what the author chose", () => {
    const spec = defaulted({
      containers: [{ name: "c", image: "x", imagePullPolicy: "Never" }],
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 0,
      tolerations: [{ operator: "Exists" }],
      enableServiceLinks: false,
    });
    expect(spec).toMatchObject({ restartPolicy: "Never", terminationGracePeriodSeconds: 0, enableServiceLinks: false });
    expect(spec.tolerations).toEqual([{ operator: "Exists" }]);
    expect(spec.containers[0]?.imagePullPolicy).toBe("Never");
  });

  it("reach volumes, ports, probes and fieldRefs", () => {
    const spec = defaulted({
      hostNetwork: true,
      containers: [
        {
          name: "c",
          ports: [{ containerPort: 80 }],
          readinessProbe: { httpGet: { port: 80 } },
          env: [{ name: "X", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
        },
      ],
      volumes: [
        { name: "a", configMap: { name: "x" } },
        { name: "b", secret: { secretName: "x", defaultMode: 0o400 } },
        { name: "c" },
        { name: "d", projected: { sources: [{ serviceAccountToken: { path: "t" } }] } },
      ],
    });
    const [container] = spec.containers;
    expect(container?.ports).toEqual([{ containerPort: 80, hostPort: 80, protocol: "TCP" }]);
    expect(container?.readinessProbe).toEqual({
      httpGet: { port: 80, path: "/", scheme: "HTTP" },
      timeoutSeconds: 1,
      periodSeconds: 10,
      successThreshold: 1,
      failureThreshold: 3,
    });
    expect(container?.env?.[0]?.valueFrom?.fieldRef?.apiVersion).toBe("v1");
    expect(spec.volumes).toEqual([
      { name: "a", configMap: { name: "x", defaultMode: 420 } },
      { name: "b", secret: { secretName: "x", defaultMode: 256 } },
      { name: "c", emptyDir: {} },
      {
        name: "d",
        projected: { defaultMode: 420, sources: [{ serviceAccountToken: { path: "t", expirationSeconds: 3600 } }] },
      },
    ]);
  });

  it("make requests of limits, in canonical form", () => {
    const spec = defaulted({
      containers: [{ name: "c", resources: { limits: { cpu: "0.5", memory: "1Gi" }, requests: { cpu: "0.1" } } }],
    });
    expect(spec.containers[0]?.resources).toEqual({
      limits: { cpu: "500m", memory: "1Gi" },
      requests: { cpu: "100m", memory: "1Gi" },
    });
  });
});

it.each([
  ["busybox", "Always"],
  ["busybox:latest", "Always"],
  ["busybox:1.2", "IfNotPresent"],
  ["host:5000/busybox", "Always"],
  ["busybox@sha256:0123", "IfNotPresent"],
])("the image %s is pulled %s", (image, expected) => {
  expect(pullPolicy(image)).toBe(expected);
});

it.each([
  [{}, "BestEffort"],
  [{ requests: { cpu: "1" } }, "Burstable"],
  [{ limits: { cpu: "1", memory: "1Gi" } }, "Guaranteed"],
  [{ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "500m", memory: "1Gi" } }, "Burstable"],
  [{ limits: { cpu: "1" }, requests: { cpu: "1" } }, "Burstable"],
])("resources %j make the pod %s", (resources, expected) => {
  expect(qosClass({ containers: [{ name: "c", resources }] })).toBe(expected);
});
