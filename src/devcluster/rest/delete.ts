import { toTime } from "../../clock.ts";
import type { DeleteOptions, PodSpec, PodStatus } from "../../kube/types.ts";
import { isObject, keyOf, type Stored } from "../objects.ts";
import { namespacesResource, podsResource, type ResourceType, resources } from "../resources.ts";
import { conflict, notFound } from "../status.ts";
import type { Entry } from "../store/entry.ts";
import type { Api } from "./api.ts";

export interface Deleted {
  entry: Entry;
  /** False: it is only marked, and goes when its grace period or its finalizers are done. */
  gone: boolean;
}

/**
 * DELETE as k8s.io/apiserver's generic registry does it: a pod that runs on a node is marked and left to its kubelet.
 * @throws {StatusError} 404, 409
 */
export function remove(
  api: Api,
  resource: ResourceType,
  namespace: string | undefined,
  name: string,
  options: DeleteOptions,
  dryRun: boolean,
): Deleted {
  const entry = api.store.get(resource, keyOf(namespace, name));
  if (!entry) throw notFound(resource, name);
  checkPreconditions(resource, entry.object, options);
  if (dryRun) return { entry, gone: true };
  if (resource === namespacesResource) return terminateNamespace(api, entry);
  const { object } = entry;
  const { finalizers, deletionTimestamp, deletionGracePeriodSeconds } = object.metadata;
  const blocked = (finalizers?.length ?? 0) > 0;
  const grace = resource === podsResource ? gracePeriod(object, options) : 0;
  if (deletionTimestamp !== undefined) {
    const asked = resource === podsResource ? options.gracePeriodSeconds : undefined;
    const shorter = asked !== undefined && asked < (deletionGracePeriodSeconds ?? 0);
    // Asked again, and no sooner: nothing changes. Where the time is over already it may go now.
    if (!shorter) {
      const over = !deletionGracePeriodSeconds && !blocked;
      return over ? { entry: removeNow(api, resource, entry), gone: true } : { entry, gone: false };
    }
  } else if (resource !== podsResource && !blocked) {
    return { entry: removeNow(api, resource, entry), gone: true };
  }
  const marked = api.store.put(resource, entry.key, withDeletion(api, object, grace));
  if (grace > 0 || blocked) return { entry: marked, gone: false };
  return { entry: removeNow(api, resource, marked), gone: true };
}

/** Takes it out of the store, whatever its state. */
export function removeNow(api: Api, resource: ResourceType, entry: Entry): Entry {
  const removed = api.store.remove(resource, entry.key) ?? entry;
  const { namespace } = removed.object.metadata;
  if (namespace !== undefined) finishNamespace(api, namespace);
  return removed;
}

function checkPreconditions(resource: ResourceType, object: Stored, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const { metadata } = object;
  if (uid && uid !== metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`;
    throw conflict(resource, metadata.name, why);
  }
  if (resourceVersion && resourceVersion !== metadata.resourceVersion) {
    const why = `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${metadata.resourceVersion}`;
    throw conflict(resource, metadata.name, why);
  }
}

/** Seconds: none for a pod that no kubelet holds or that has ended (podStrategy.CheckGracefulDelete). */
function gracePeriod(object: Stored, options: DeleteOptions): number {
  const spec = object.spec as PodSpec | undefined;
  const { phase } = (object.status ?? {}) as PodStatus;
  if (!spec?.nodeName || phase === "Succeeded" || phase === "Failed") return 0;
  const seconds = options.gracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30;
  return seconds < 0 ? 1 : seconds;
}

/** The time is counted from the first request, however often it is shortened. */
function withDeletion(api: Api, object: Stored, grace: number): Stored {
  const { metadata } = object;
  const start =
    metadata.deletionTimestamp === undefined
      ? api.clock.now()
      : Date.parse(metadata.deletionTimestamp) - (metadata.deletionGracePeriodSeconds ?? 0) * 1000;
  return {
    ...object,
    metadata: {
      ...metadata,
      deletionTimestamp: toTime(start + grace * 1000),
      deletionGracePeriodSeconds: grace,
      ...(metadata.generation === undefined ? {} : { generation: metadata.generation + 1 }),
    },
  };
}

/** Everything in it is deleted; the namespace itself goes when the last of it has gone. */
function terminateNamespace(api: Api, entry: Entry): Deleted {
  const { name } = entry.object.metadata;
  if (entry.object.metadata.deletionTimestamp === undefined) {
    api.store.put(namespacesResource, entry.key, {
      ...entry.object,
      metadata: { ...entry.object.metadata, deletionTimestamp: toTime(api.clock.now()) },
      status: { ...(isObject(entry.object.status) ? entry.object.status : {}), phase: "Terminating" },
    });
  }
  for (const resource of resources.filter((type) => type.namespaced)) {
    for (const content of api.store.list(resource, name)) {
      remove(api, resource, name, content.object.metadata.name, {}, false);
    }
  }
  finishNamespace(api, name);
  const left = api.store.get(namespacesResource, entry.key);
  return left ? { entry: left, gone: false } : { entry, gone: true };
}

function finishNamespace(api: Api, name: string): void {
  const entry = api.store.get(namespacesResource, keyOf(undefined, name));
  if (entry?.object.metadata.deletionTimestamp === undefined) return;
  const empty = resources.every((type) => !type.namespaced || api.store.list(type, name).length === 0);
  if (empty) api.store.remove(namespacesResource, entry.key);
}
