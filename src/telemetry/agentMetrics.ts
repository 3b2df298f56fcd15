import { type Histogram, Registry } from "./registry.ts";

/** A probe, with the labels that the kubelet gives it. */
export interface ProbeLabels {
  probe_type: "Liveness" | "Readiness" | "Startup";
  container: string;
  pod: string;
  namespace: string;
  pod_uid: string;
}

/** What an agent counts of itself, under the kubelet's names where it has one for it. */
export interface AgentMetrics {
  /** For `/metrics`. */
  readonly registry: Registry;
  /** For `/metrics/probes`. */
  readonly probes: Registry;
  /** @param seconds how long it took */
  probed(probe: ProbeLabels, result: "successful" | "failed" | "unknown", seconds: number): void;
  /** The pod is gone: its series, too. */
  forgetProbes(podUID: string): void;
  /** @param seconds from when the agent saw the pod until all its containers ran for the first time */
  podStarted(seconds: number): void;
  /** Times a call of the container runtime, and counts it, and its error. */
  timed<T>(operation: string, call: () => Promise<T>): Promise<T>;
}

const startBounds = [0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200];
const operationBounds = Array.from({ length: 14 }, (_, power) => Number((0.005 * 2.5 ** power).toPrecision(12)));

/** @param now monotonic, ms */
export function createAgentMetrics(now: () => number = () => performance.now()): AgentMetrics {
  const registry = new Registry();
  const probes = new Registry();
  const probeTotal = probes.counter(
    "prober_probe_total",
    "Cumulative number of a liveness, readiness or startup probe for a container by result.",
  );
  const probeSeconds = probes.histogram("prober_probe_duration_seconds", "Duration in seconds for a probe response.");
  const podStart: Histogram = registry.histogram(
    "kubelet_pod_start_duration_seconds",
    "Duration in seconds from when the agent sees a pod for the first time until its containers run.",
    startBounds,
  );
  const operations = registry.counter(
    "kubelet_runtime_operations_total",
    "Cumulative number of runtime operations by operation type.",
  );
  const operationErrors = registry.counter(
    "kubelet_runtime_operations_errors_total",
    "Cumulative number of runtime operation errors by operation type.",
  );
  const operationSeconds = registry.histogram(
    "kubelet_runtime_operations_duration_seconds",
    "Duration in seconds of runtime operations by operation type.",
    operationBounds,
  );
  return {
    registry,
    probes,
    probed(probe, result, seconds) {
      const { probe_type, container, pod, namespace, pod_uid } = probe;
      probeTotal.inc({ container, namespace, pod, pod_uid, probe_type, result });
      probeSeconds.observe(seconds, { container, namespace, pod, pod_uid, probe_type });
    },
    forgetProbes(pod_uid) {
      probeTotal.forget({ pod_uid });
      probeSeconds.forget({ pod_uid });
    },
    podStarted: (seconds) => podStart.observe(seconds),
    async timed(operation_type, call) {
      const begin = now();
      operations.inc({ operation_type });
      try {
        return await call();
      } catch (error) {
        operationErrors.inc({ operation_type });
        throw error;
      } finally {
        operationSeconds.observe((now() - begin) / 1000, { operation_type });
      }
    },
  };
}
