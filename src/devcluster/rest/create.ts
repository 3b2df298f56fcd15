import { randomInt, randomUUID } from "node:crypto";
import { toTime } from "../../clock.ts";
import type { PodCondition, PodSpec, PodStatus } from "../../kube/types.ts";
import { qosClass } from "../defaults/pod.ts";
import { keyOf, type Stored, type StoredMeta, without } from "../objects.ts";
import { namespacesResource, type ResourceType } from "../resources.ts";
import { alreadyExists, badRequest, forbidden, invalidObject, notFound } from "../status.ts";
import { Entry } from "../store/entry.ts";
import { admitServiceAccount } from "../tokens/automount.ts";
import { validateAnnotations, validateLabels, validateName } from "../validation/names.ts";
import type { Api, WriteOptions } from "./api.ts";
import { readObject } from "./read.ts";

/** @throws {StatusError} 400, 403, 404, 409, 422 */
export function create(
  api: Api,
  resource: ResourceType,
  namespace: string | undefined,
  body: unknown,
  options: WriteOptions,
): Entry {
  const read = readObject(api, resource, body, options);
  const given = read.metadata;
  if (given.namespace !== undefined && given.namespace !== "" && given.namespace !== namespace) {
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  }
  if (given.resourceVersion) throw badRequest("resourceVersion should not be set on objects to be created");
  const object = prepare(api, resource, {
    ...read,
    metadata: {
      ...without(given, "managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"),
      ...(namespace === undefined ? {} : { namespace }),
      name: given.name || generated(api, resource, namespace, given.generateName),
      uid: randomUUID(),
      creationTimestamp: toTime(api.clock.now()),
    },
  });
  const { name } = object.metadata;
  const errors = [
    ...validateName("metadata.name", name, resource.nameFormat),
    ...validateLabels("metadata.labels", object.metadata.labels),
    ...validateAnnotations("metadata.annotations", object.metadata.annotations),
    ...(resource.validate?.(object) ?? []),
  ];
  if (errors.length > 0) throw invalidObject(resource, name, errors);
  checkNamespace(api, resource, namespace, name);
  const key = keyOf(namespace, name);
  if (api.store.get(resource, key)) throw alreadyExists(resource, name);
  return options.dryRun ? new Entry(key, api.store.revision, object) : api.store.put(resource, key, object);
}

function checkNamespace(api: Api, resource: ResourceType, namespace: string | undefined, name: string): void {
  if (namespace === undefined) return;
  const home = api.store.get(namespacesResource, keyOf(undefined, namespace));
  if (!home) throw notFound(namespacesResource, namespace);
  if (home.object.metadata.deletionTimestamp !== undefined) {
    throw forbidden(
      resource,
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
    );
  }
}

const suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789";

/** `generateName` and five letters without vowels, as the API server makes them. */
function generated(api: Api, resource: ResourceType, namespace: string | undefined, base: string | undefined): string {
  if (!base) return "";
  for (;;) {
    const suffix = Array.from({ length: 5 }, () => suffixAlphabet[randomInt(suffixAlphabet.length)]).join("");
    const name = base.slice(0, 58) + suffix;
    if (!api.store.get(resource, keyOf(namespace, name))) return name;
  }
}

/** What a kind's own strategy does to a new object. */
function prepare(api: Api, resource: ResourceType, object: Stored): Stored {
  const metadata: StoredMeta = { ...object.metadata, generation: 1 };
  switch (resource.id) {
    case "pods": {
      const spec = admitServiceAccount(api, object);
      return { ...object, metadata, spec, status: podStatus(api, spec ?? { containers: [] }) };
    }
    case "namespaces":
      return { ...object, spec: { finalizers: ["kubernetes"] }, status: { phase: "Active" } };
    default:
      return object;
  }
}

function podStatus(api: Api, spec: PodSpec): PodStatus {
  const status: PodStatus = { phase: "Pending", qosClass: qosClass(spec) };
  if ((spec.schedulingGates ?? []).length === 0) return status;
  const gated: PodCondition = {
    type: "PodScheduled",
    status: "False",
    reason: "SchedulingGated",
    message: "Scheduling is blocked due to non-empty scheduling gates",
    lastTransitionTime: toTime(api.clock.now()),
  };
  return { ...status, conditions: [gated] };
}
