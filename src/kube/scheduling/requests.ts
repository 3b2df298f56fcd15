import { readQuantity } from "../quantity.ts";
import type { Container, Pod } from "../types.ts";

/** Amounts in thousandths: millicores of cpu, thousandths of bytes; exact up to some 9 TB of memory. */
export type Amounts = ReadonlyMap<string, number>;

function amounts(list: Readonly<Record<string, string>> | undefined): Map<string, number> {
  return new Map(
    Object.entries(list ?? {}).map(([name, text]) => [name, Number((readQuantity(text)?.nano ?? 0n) / 1_000_000n)]),
  );
}

function add(into: Map<string, number>, more: Amounts): void {
  for (const [name, amount] of more) into.set(name, (into.get(name) ?? 0) + amount);
}

function atLeast(into: Map<string, number>, other: Amounts): void {
  for (const [name, amount] of other) into.set(name, Math.max(into.get(name) ?? 0, amount));
}

/**
 * What a pod asks for: the sum of its containers and sidecars, or the most that any init container needs beside the
 * sidecars started before it, and its overhead (component-helpers resource.PodRequests).
 */
export function podRequests(pod: Pod): Amounts {
  const spec = pod.spec;
  const total = new Map<string, number>();
  for (const container of spec?.containers ?? []) add(total, requested(container));
  const sidecars = new Map<string, number>();
  const peak = new Map<string, number>();
  for (const container of spec?.initContainers ?? []) {
    const own = requested(container);
    if (container.restartPolicy === "Always") {
      add(total, own);
      add(sidecars, own);
      atLeast(peak, sidecars);
    } else {
      const moment = new Map(sidecars);
      add(moment, own);
      atLeast(peak, moment);
    }
  }
  atLeast(total, peak);
  add(total, amounts(spec?.overhead));
  return total;
}

function requested(container: Container): Amounts {
  return amounts(container.resources?.requests);
}

export function allocatable(list: Readonly<Record<string, string>> | undefined): Amounts {
  return amounts(list);
}

/** `TCP/8080` on an address of the host. */
export interface HostPort {
  ip: string;
  key: string;
}

export function hostPorts(pod: Pod): HostPort[] {
  return [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
    .flatMap((container) => container.ports ?? [])
    .filter((port) => (port.hostPort ?? 0) > 0)
    .map((port) => ({ ip: port.hostIP || "0.0.0.0", key: `${port.protocol ?? "TCP"}/${port.hostPort}` }));
}

export function portsCollide(a: HostPort, b: HostPort): boolean {
  return a.key === b.key && (a.ip === b.ip || a.ip === "0.0.0.0" || b.ip === "0.0.0.0");
}
