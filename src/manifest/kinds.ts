import { didYouMean } from "../config/nearest.ts";

export interface ServedKind {
  apiVersion: string;
  kind: string;
  /** The plural in URLs. */
  resource: string;
  namespaced: boolean;
}

/** What a manifest for the embedded control plane may hold. */
export const servedKinds: readonly ServedKind[] = [
  { apiVersion: "v1", kind: "Namespace", resource: "namespaces", namespaced: false },
  { apiVersion: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true },
  { apiVersion: "v1", kind: "Secret", resource: "secrets", namespaced: true },
  { apiVersion: "v1", kind: "ServiceAccount", resource: "serviceaccounts", namespaced: true },
  { apiVersion: "v1", kind: "Service", resource: "services", namespaced: true },
  { apiVersion: "v1", kind: "Pod", resource: "pods", namespaced: true },
];

/** Kinds that are nothing without a controller which makes pods of them. */
const controlled = /^(Deployment|ReplicaSet|ReplicationController|StatefulSet|DaemonSet|Job|CronJob)$/;

/** The kind, or in words why it isn't served. */
export function findKind(apiVersion: string, kind: string): ServedKind | string {
  const found = servedKinds.find((k) => k.kind === kind);
  if (found?.apiVersion === apiVersion) return found;
  if (found) return `${kind} has apiVersion: ${found.apiVersion}, not ${JSON.stringify(apiVersion)}`;
  if (controlled.test(kind)) {
    return `kind ${kind} needs a controller, and hostlet's own control plane has none: write the pod of its spec.template as a manifest of kind: Pod, or use a real cluster`;
  }
  const names = servedKinds.map((k) => k.kind);
  return `kind ${JSON.stringify(kind)} (${apiVersion}) is not served by hostlet's own control plane${didYouMean(kind, names) || `; it takes ${names.join(", ")}`}`;
}
