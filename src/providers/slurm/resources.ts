import { readQuantity, toInteger, toMilli } from "../../kube/quantity.ts";
import type { Container, Pod } from "../../kube/types.ts";
import type { Flag } from "./flags.ts";

const mebibyte = 1024n * 1024n;
const gpuResources = ["nvidia.com/gpu", "amd.com/gpu"];

/** What a pod needs at once: its main containers and sidecars together, or the largest init container. Undefined: says nothing. */
export function podNeeds(pod: Pod, resource: string, unit: "milli" | "whole"): bigint | undefined {
  const of = (container: Container) => amount(container, resource, unit);
  const inits = pod.spec?.initContainers ?? [];
  const sidecars = inits.filter((c) => c.restartPolicy === "Always");
  const together = sum([...sidecars, ...(pod.spec?.containers ?? [])].map(of));
  const largest = inits.filter((c) => c.restartPolicy !== "Always").map(of);
  return [together, ...largest].reduce((a, b) => (b !== undefined && (a === undefined || b > a) ? b : a), undefined);
}

/** The limit, or where there is none the request. */
function amount({ resources }: Container, resource: string, unit: "milli" | "whole"): bigint | undefined {
  const text = resources?.limits?.[resource] ?? resources?.requests?.[resource];
  const quantity = text === undefined ? undefined : readQuantity(text);
  if (!quantity) return undefined;
  return unit === "milli" ? toMilli(quantity) : toInteger(quantity);
}

function sum(amounts: (bigint | undefined)[]): bigint | undefined {
  const known = amounts.filter((a) => a !== undefined);
  return known.length === 0 ? undefined : known.reduce((a, b) => a + b, 0n);
}

/**
 * Requests and limits as sbatch has them; what a pod does not say is left to the partition.
 * @param overheadBytes of the kubelet core in the job, beside what the containers get
 */
export function resourceFlags(pod: Pod, overheadBytes: number): Flag[] {
  const flags: Flag[] = [];
  const cpu = podNeeds(pod, "cpu", "milli");
  if (cpu !== undefined && cpu > 0n) flags.push({ name: "cpus-per-task", value: String(divideUp(cpu, 1000n)) });
  const memory = podNeeds(pod, "memory", "whole");
  if (memory !== undefined && memory > 0n) {
    flags.push({ name: "mem", value: `${divideUp(memory + BigInt(overheadBytes), mebibyte)}M` });
  }
  const gpus = gpuResources.map((name) => podNeeds(pod, name, "whole") ?? 0n).reduce((a, b) => a + b);
  if (gpus > 0n) flags.push({ name: "gres", value: `gpu:${gpus}` });
  return flags;
}

function divideUp(value: bigint, divisor: bigint): bigint {
  return (value + divisor - 1n) / divisor;
}
