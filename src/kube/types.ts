/** The kinds of the Kubernetes API that hostlet uses; generated ones, and the few names that make them handy. */
export type * from "./generated/types.gen.ts";

import type { ConfigMap, ObjectMeta, Pod, Secret } from "./generated/types.gen.ts";

/** Anything that an API server stores. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
}

/** Which pod is meant. The UID decides: a pod recreated under the same name is another pod. */
export interface PodRef {
  namespace: string;
  name: string;
  uid: string;
}

/** @throws {TypeError} where the object has no namespace, name or UID, which an API server always sets. */
export function podRef(pod: Pod): PodRef {
  const { namespace, name, uid } = pod.metadata ?? {};
  if (!namespace || !name || !uid) throw new TypeError("a pod without metadata.namespace, name and uid");
  return { namespace, name, uid };
}

export interface ReferencedKinds {
  ConfigMap: ConfigMap;
  Secret: Secret;
}
