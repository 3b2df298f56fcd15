import type { Container, Pod, ReferencedKinds } from "../../kube/types.ts";

/** A ConfigMap or Secret that a pod names. */
export interface ObjectReference {
  kind: keyof ReferencedKinds;
  namespace: string;
  name: string;
}

/** The objects that a container's environment is read from, each once. */
export function envReferences(pod: Pod, container: Container): ObjectReference[] {
  const configMaps = new Set<string | undefined>();
  const secrets = new Set<string | undefined>();
  for (const { configMapRef, secretRef } of container.envFrom ?? []) {
    configMaps.add(configMapRef?.name);
    secrets.add(secretRef?.name);
  }
  for (const { valueFrom } of container.env ?? []) {
    configMaps.add(valueFrom?.configMapKeyRef?.name);
    secrets.add(valueFrom?.secretKeyRef?.name);
  }
  return referenceList(pod, configMaps, secrets);
}

/** @param configMaps names; what is undefined or empty is skipped */
export function referenceList(
  pod: Pod,
  configMaps: Iterable<string | undefined>,
  secrets: Iterable<string | undefined>,
): ObjectReference[] {
  const namespace = pod.metadata?.namespace ?? "default";
  const references: ObjectReference[] = [];
  for (const name of new Set(configMaps)) if (name) references.push({ kind: "ConfigMap", namespace, name });
  for (const name of new Set(secrets)) if (name) references.push({ kind: "Secret", namespace, name });
  return references;
}
