import { toTime } from "../../clock.ts";
import type { Pod, PodCondition, PodSpec } from "../../kube/types.ts";
import { isObject, keyOf, type Stored } from "../objects.ts";
import { podsResource } from "../resources.ts";
import { badRequest, conflict, notFound } from "../status.ts";
import type { Entry } from "../store/entry.ts";
import type { Api } from "./api.ts";
import { remove } from "./delete.ts";

/** Puts a pod on a node: spec.nodeName and the condition PodScheduled, in one write. @throws {StatusError} 404, 409 */
export function bind(
  api: Api,
  namespace: string,
  name: string,
  node: string,
  annotations: Record<string, string> = {},
): Entry {
  const entry = api.store.get(podsResource, keyOf(namespace, name));
  if (!entry) throw notFound(podsResource, name);
  const { object } = entry;
  const spec = object.spec as PodSpec;
  const binding = { ...podsResource, plural: "pods/binding" };
  if (object.metadata.deletionTimestamp !== undefined) {
    throw conflict(binding, name, `pod ${name} is being deleted, cannot be assigned to a host`);
  }
  if (spec.nodeName) throw conflict(binding, name, `pod ${name} is already assigned to node "${spec.nodeName}"`);
  if ((spec.schedulingGates ?? []).length > 0) {
    throw conflict(binding, name, `pod ${name} has non-empty .spec.schedulingGates`);
  }
  const { status } = object as Pod;
  const scheduled: PodCondition = {
    type: "PodScheduled",
    status: "True",
    lastProbeTime: null as unknown as string,
    lastTransitionTime: toTime(api.clock.now()),
  };
  const conditions = [...(status?.conditions ?? []).filter((c) => c.type !== "PodScheduled"), scheduled];
  const metadata = { ...object.metadata };
  if (Object.keys(annotations).length > 0) metadata.annotations = { ...metadata.annotations, ...annotations };
  const bound = { ...object, metadata, spec: { ...spec, nodeName: node }, status: { ...status, conditions } };
  return api.store.put(podsResource, entry.key, bound as Stored);
}

/** POST .../binding */
export function createBinding(api: Api, namespace: string, name: string, body: unknown): void {
  const target = isObject(body) && isObject(body.target) ? body.target : {};
  if (typeof target.name !== "string" || target.name === "") throw badRequest("a Binding needs target.name");
  if (target.kind !== undefined && target.kind !== "" && target.kind !== "Node") {
    throw badRequest(`a Binding's target is a Node, not a ${String(target.kind)}`);
  }
  const metadata = isObject(body) && isObject(body.metadata) ? body.metadata : {};
  bind(api, namespace, name, target.name, (metadata.annotations ?? {}) as Record<string, string>);
}

/** POST .../eviction: there are no disruption budgets here, so it is a deletion. */
export function evict(api: Api, namespace: string, name: string, body: unknown, dryRun: boolean): void {
  const options = isObject(body) && isObject(body.deleteOptions) ? body.deleteOptions : {};
  remove(api, podsResource, namespace, name, options, dryRun);
}

/** The answer to a write that has no object to give back. */
export function success(details?: Record<string, unknown>): Record<string, unknown> {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    ...(details === undefined ? {} : { details }),
  };
}
