import { createHash } from "node:crypto";
import type { ContainerSpec } from "../contract.ts";

/** systemd takes 255 bytes for a unit's name. */
const longestName = 255;
const suffix = ".service";

/** Names of Kubernetes' have no dot in these parts, so that the others can be told apart. */
const label = /^[A-Za-z0-9-]+$/;

/**
 * `hostlet.<namespace>.<pod>.<container>.<pod uid>.service`, with `:<attempt>` behind the UID from the second start on, as the unit of the one before
 * may still be loaded. What is too long, or has a character that can't be there, is cut and marked with a hash of the whole: two are never the same.
 */
export function unitName({ id, namespace, podName }: Pick<ContainerSpec, "id" | "namespace" | "podName">): string {
  const parts = [namespace, podName, id.container, id.podUID];
  const whole = `hostlet.${parts.join(".")}${id.attempt > 0 ? `:${id.attempt}` : ""}`;
  const plain = [namespace, id.container, id.podUID].every((part) => label.test(part)) && /^[a-z0-9.-]+$/.test(podName);
  if (plain && whole.length + suffix.length <= longestName) return `${whole}${suffix}`;
  const hash = createHash("sha256")
    .update(JSON.stringify([...parts, id.attempt]))
    .digest("hex")
    .slice(0, 32);
  const safe = whole.replace(/[^A-Za-z0-9:_.-]/g, "_");
  // The underscore is in no name that needs no hash.
  return `${safe.slice(0, longestName - suffix.length - hash.length - 1)}_${hash}${suffix}`;
}

/** A slice of the pod's own below `hostlet.slice`, so that the host's tools show pods as they are. A dash would be another level. */
export function podSlice(podUID: string): string {
  const safe = podUID.replace(/[^A-Za-z0-9]/g, "_");
  const plain = podUID.replaceAll("-", "_");
  // What had to be changed beyond its dashes could be another's name.
  const mark = safe === plain ? "" : `_${createHash("sha256").update(podUID).digest("hex").slice(0, 16)}`;
  return `hostlet-pod${safe.slice(0, 200)}${mark}.slice`;
}
