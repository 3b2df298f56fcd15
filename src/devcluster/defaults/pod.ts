import type { Container, Pod, PodSpec, Probe, Toleration, Volume } from "../../kube/types.ts";
import type { Stored } from "../objects.ts";
import { canonicalQuantity } from "../quantity.ts";
import { alter, alterEach, fill } from "./fill.ts";

/** A pod as the API server returns it: pkg/apis/core/v1/defaults.go and the admission plugins that every cluster has. */
export function withPodDefaults(object: Stored): Stored {
  return alter(object as Pod, "spec", specDefaults) as Stored;
}

function specDefaults(spec: PodSpec): PodSpec {
  let result = fill(spec, {
    dnsPolicy: "ClusterFirst",
    enableServiceLinks: true,
    preemptionPolicy: "PreemptLowerPriority",
    priority: 0,
    restartPolicy: "Always",
    schedulerName: "default-scheduler",
    securityContext: {},
    // DeprecatedServiceAccount and ServiceAccountName are kept alike.
    serviceAccountName: spec.serviceAccount || "default",
    terminationGracePeriodSeconds: 30,
  });
  result = fill(result, { serviceAccount: result.serviceAccountName ?? "default" });
  const container = (item: Container) => containerDefaults(item, spec.hostNetwork === true);
  result = alter(result, "containers", (list) => alterEach(list, container));
  result = alter(result, "initContainers", (list) => alterEach(list, container));
  result = alter(result, "ephemeralContainers", (list) => alterEach(list, container));
  result = alter(result, "volumes", (list) => alterEach(list, volumeDefaults));
  return withTolerations(result);
}

/** DefaultTolerationSeconds: five minutes on a node that is not ready, unless the pod says otherwise. */
function withTolerations(spec: PodSpec): PodSpec {
  const tolerations = spec.tolerations ?? [];
  const added = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
    .filter((key) => !tolerations.some((toleration) => covers(toleration, key)))
    .map((key): Toleration => ({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 }));
  return added.length === 0 ? spec : { ...spec, tolerations: [...tolerations, ...added] };
}

function covers(toleration: Toleration, key: string): boolean {
  const sameKey = toleration.key === key || !toleration.key;
  return sameKey && (toleration.effect === "NoExecute" || !toleration.effect);
}

function containerDefaults(container: Container, hostNetwork: boolean): Container {
  let result = fill(container, {
    imagePullPolicy: pullPolicy(container.image ?? ""),
    resources: {},
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
  });
  result = alter(result, "ports", (ports) =>
    alterEach(ports, (port) => {
      const filled = fill(port, { protocol: "TCP" });
      return hostNetwork && !filled.hostPort ? { ...filled, hostPort: filled.containerPort } : filled;
    }),
  );
  result = alter(result, "env", (env) =>
    alterEach(env, (variable) =>
      alter(variable, "valueFrom", (from) => alter(from, "fieldRef", (ref) => fill(ref, { apiVersion: "v1" }))),
    ),
  );
  for (const probe of ["livenessProbe", "readinessProbe", "startupProbe"] as const) {
    result = alter(result, probe, probeDefaults);
  }
  result = alter(result, "lifecycle", (lifecycle) => {
    const hooks = alter(lifecycle, "postStart", (hook) => alter(hook, "httpGet", httpDefaults));
    return alter(hooks, "preStop", (hook) => alter(hook, "httpGet", httpDefaults));
  });
  return alter(result, "resources", (resources) => {
    const canonical = alter(alter(resources, "limits", canonicalList), "requests", canonicalList);
    const { limits, requests } = canonical;
    if (!limits) return canonical;
    return requests ? alter(canonical, "requests", (list) => fill(list, limits)) : { ...canonical, requests: limits };
  });
}

function canonicalList(list: Record<string, string>): Record<string, string> {
  return Object.keys(list).reduce((result, key) => alter(result, key, canonicalQuantity), list);
}

/** Always for the tag `latest` or none, IfNotPresent otherwise; a digest counts as a tag. */
export function pullPolicy(image: string): "Always" | "IfNotPresent" {
  if (image.includes("@")) return "IfNotPresent";
  const tag = /:([^/:]+)$/.exec(image)?.[1] ?? "latest";
  return tag === "latest" ? "Always" : "IfNotPresent";
}

function probeDefaults(probe: Probe): Probe {
  const filled = fill(probe, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 });
  return alter(alter(filled, "httpGet", httpDefaults), "grpc", (grpc) => fill(grpc, { service: "" }));
}

function httpDefaults<T extends { path?: string; scheme?: string }>(action: T): T {
  return fill<{ path?: string; scheme?: string }>(action, { path: "/", scheme: "HTTP" }) as T;
}

const sourceMode = { defaultMode: 0o644 };

function volumeDefaults(volume: Volume): Volume {
  if (Object.keys(volume).length === 1) return { ...volume, emptyDir: {} };
  let result = alter(volume, "configMap", (source) => fill(source, sourceMode));
  result = alter(result, "secret", (source) => fill(source, sourceMode));
  result = alter(result, "downwardAPI", (source) =>
    alter(fill(source, sourceMode), "items", (items) =>
      alterEach(items, (item) => alter(item, "fieldRef", (ref) => fill(ref, { apiVersion: "v1" }))),
    ),
  );
  result = alter(result, "hostPath", (source) => (source.type === undefined ? { ...source, type: "" } : source));
  return alter(result, "projected", (source) =>
    alter(fill(source, sourceMode), "sources", (sources) =>
      alterEach(sources, (projection) => {
        const filled = alter(projection, "serviceAccountToken", (token) => fill(token, { expirationSeconds: 3600 }));
        return alter(filled, "downwardAPI", (downward) =>
          alter(downward, "items", (items) =>
            alterEach(items, (item) => alter(item, "fieldRef", (ref) => fill(ref, { apiVersion: "v1" }))),
          ),
        );
      }),
    ),
  );
}

type Resources = { limits?: Record<string, string>; requests?: Record<string, string> };

/** Guaranteed, Burstable or BestEffort, by the requests and limits of cpu and memory (component-helpers qos.go). */
export function qosClass(spec: PodSpec): string {
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const all = containers.map((container) => (container.resources ?? {}) as Resources);
  const set = (list: Record<string, string> | undefined, name: string) => {
    const value = list?.[name];
    return value !== undefined && canonicalQuantity(value) !== "0" ? canonicalQuantity(value) : undefined;
  };
  const asks = (r: Resources) =>
    ["cpu", "memory"].some((name) => set(r.requests, name) !== undefined || set(r.limits, name) !== undefined);
  if (!all.some(asks)) return "BestEffort";
  const guaranteed = all.every((r) =>
    ["cpu", "memory"].every((name) => {
      const limit = set(r.limits, name);
      return limit !== undefined && (set(r.requests, name) ?? limit) === limit;
    }),
  );
  return guaranteed ? "Guaranteed" : "Burstable";
}
