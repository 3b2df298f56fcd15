import type { Probe } from "../../kube/types.ts";

export type ProbeVerdict = "success" | "failure";

/** Equal results in a row. */
export interface ProbeRun {
  last?: ProbeVerdict;
  count: number;
}

/**
 * What one more result makes of a probe. A verdict is given once the result has come as often in a row as the probe's
 * threshold asks, and again with each further one.
 */
export function judge(run: ProbeRun, result: ProbeVerdict, probe: Probe): { run: ProbeRun; verdict?: ProbeVerdict } {
  const count = run.last === result ? run.count + 1 : 1;
  const threshold =
    result === "success" ? atLeastOne(probe.successThreshold, 1) : atLeastOne(probe.failureThreshold, 3);
  return { run: { last: result, count }, ...(count >= threshold && { verdict: result }) };
}

/** Of a manifest that no API server has checked: a probe that is due every 0 seconds would leave time for nothing else. */
export function atLeastOne(value: number | undefined, otherwise: number): number {
  return typeof value === "number" && value >= 1 ? value : otherwise;
}

/** The kubelet's word for a probe, as its Events begin. */
export const probeNames = { startup: "Startup", liveness: "Liveness", readiness: "Readiness" } as const;
export type ProbeKind = keyof typeof probeNames;
export const probeKinds: readonly ProbeKind[] = ["startup", "liveness", "readiness"];

export function probeOf(container: Partial<Record<`${ProbeKind}Probe`, Probe>>, kind: ProbeKind): Probe | undefined {
  return container[`${kind}Probe`];
}
