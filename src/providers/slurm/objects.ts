import type { ObjectSource, ServiceAccountToken } from "../../kube/objectSource.ts";
import { type ConfigMap, type Pod, podRef, type Secret } from "../../kube/types.ts";
import type { ObjectReference } from "../../kubelet/env/references.ts";
import { referencedObjects } from "../../kubelet/references.ts";

/** What a pod refers to, as it travels to its job. Secrets: kept in files of 0600 in directories of 0700. */
export interface CarriedObjects {
  configMaps: Record<string, ConfigMap>;
  secrets: Record<string, Secret>;
  /** By what was asked for, see `tokenKey`. */
  tokens: Record<string, ServiceAccountToken>;
}

interface TokenWish {
  audiences: string[];
  expirationSeconds: number;
}

/** The service account tokens that a pod's volumes ask for. */
export function tokenWishes(pod: Pod): TokenWish[] {
  return (pod.spec?.volumes ?? []).flatMap(({ projected }) =>
    (projected?.sources ?? []).flatMap(({ serviceAccountToken: wish }) =>
      wish
        ? [{ audiences: wish.audience ? [wish.audience] : [], expirationSeconds: wish.expirationSeconds ?? 3600 }]
        : [],
    ),
  );
}

const tokenKey = ({ audiences, expirationSeconds }: TokenWish) => JSON.stringify([audiences, expirationSeconds]);

/** The references of a pod without which it can't start. */
export function requiredReferences(pod: Pod): ObjectReference[] {
  const sourceOf = <T extends { optional?: boolean }>(source: T | undefined) =>
    source && !source.optional ? source : undefined;
  const required = structuredClone(pod);
  for (const volume of required.spec?.volumes ?? []) {
    if (volume.configMap?.optional) delete volume.configMap;
    if (volume.secret?.optional) delete volume.secret;
    for (const source of volume.projected?.sources ?? []) {
      if (source.configMap && !sourceOf(source.configMap)) delete source.configMap;
      if (source.secret && !sourceOf(source.secret)) delete source.secret;
    }
  }
  for (const container of [...(required.spec?.initContainers ?? []), ...(required.spec?.containers ?? [])]) {
    container.env = (container.env ?? []).filter(
      ({ valueFrom }) => !valueFrom?.configMapKeyRef?.optional && !valueFrom?.secretKeyRef?.optional,
    );
    container.envFrom = (container.envFrom ?? []).filter(
      ({ configMapRef, secretRef }) => !configMapRef?.optional && !secretRef?.optional,
    );
  }
  return referencedObjects(required);
}

export interface Collected {
  objects: CarriedObjects;
  /** `configmap "a"`, ...: what the pod has to wait for. */
  missing: string[];
  /** When a token has to be fetched anew; ms since the epoch. */
  refreshAt: number | undefined;
}

/** Reads all that a pod refers to. Rejects where it can't be read now. */
export async function collectObjects(pod: Pod, source: ObjectSource, signal: AbortSignal): Promise<Collected> {
  const objects: CarriedObjects = { configMaps: {}, secrets: {}, tokens: {} };
  const seen = new Set<string>();
  for (const { kind, namespace, name } of referencedObjects(pod)) {
    if (seen.has(`${kind}/${name}`)) continue;
    seen.add(`${kind}/${name}`);
    const object = await source.get(kind, namespace, name, signal);
    if (object) objects[kind === "ConfigMap" ? "configMaps" : "secrets"][name] = object;
  }
  const ref = podRef(pod);
  let refreshAt: number | undefined;
  for (const wish of source.serviceAccountToken ? tokenWishes(pod) : []) {
    const name = pod.spec?.serviceAccountName || "default";
    const request = { namespace: ref.namespace, name, pod: ref, ...wish };
    const token = await source.serviceAccountToken!(request, signal);
    objects.tokens[tokenKey(wish)] = token;
    refreshAt = Math.min(refreshAt ?? token.refreshAt, token.refreshAt);
  }
  const missing = requiredReferences(pod)
    .filter(({ kind, name }) => !objects[kind === "ConfigMap" ? "configMaps" : "secrets"][name])
    .map(({ kind, name }) => `${kind.toLowerCase()} "${name}"`);
  return { objects, missing: [...new Set(missing)], refreshAt };
}

/** In the job: what came with it, and what the agent sends later. */
export class CarriedSource implements ObjectSource {
  #objects: CarriedObjects;
  readonly #watches = new Set<() => void>();

  constructor(objects: CarriedObjects) {
    this.#objects = objects;
  }

  replace(objects: CarriedObjects): void {
    if (JSON.stringify(objects) === JSON.stringify(this.#objects)) return;
    this.#objects = objects;
    for (const changed of this.#watches) changed();
  }

  get: ObjectSource["get"] = async (kind, _namespace, name) => {
    const { configMaps, secrets } = this.#objects;
    type Found = Awaited<ReturnType<ObjectSource["get"]>>;
    return (kind === "ConfigMap" ? configMaps[name] : secrets[name]) as Found as never;
  };

  watch: ObjectSource["watch"] = (_kind, _namespace, _name, changed, signal) => {
    this.#watches.add(changed);
    signal.addEventListener("abort", () => this.#watches.delete(changed), { once: true });
  };

  serviceAccountToken: NonNullable<ObjectSource["serviceAccountToken"]> = async ({ audiences, expirationSeconds }) => {
    const token = this.#objects.tokens[tokenKey({ audiences: audiences ?? [], expirationSeconds })];
    if (!token) throw new Error("the agent sent no such token to the job");
    // The agent sends the next one; until it is there this one is used on.
    return { ...token, refreshAt: Math.max(token.refreshAt, Date.now() + 30_000) };
  };
}
