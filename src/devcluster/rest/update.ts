import type { PodSpec, PodStatus } from "../../kube/types.ts";
import { isObject, type Json, jsonEqual, keyOf, type Stored, type StoredMeta, without } from "../objects.ts";
import { jsonPatch, PatchError } from "../patch/json.ts";
import { mergePatch } from "../patch/merge.ts";
import { strategicMergePatch } from "../patch/strategic.ts";
import type { ResourceType } from "../resources.ts";
import {
  badRequest,
  conflict,
  type FieldError,
  invalid,
  invalidObject,
  notFound,
  StatusError,
  staleVersion,
} from "../status.ts";
import { Entry } from "../store/entry.ts";
import { validateEphemeralUpdate } from "../validation/ephemeral.ts";
import { validateAnnotations, validateLabels } from "../validation/names.ts";
import type { Api, WriteOptions } from "./api.ts";
import { removeNow } from "./delete.ts";
import { readObject } from "./read.ts";
import type { Target } from "./target.ts";

/** PUT. @throws {StatusError} 400, 404, 409, 422 */
export function update(api: Api, target: Target, body: unknown, options: WriteOptions): Entry {
  const old = existing(api, target);
  const object = readObject(api, target.resource, body, options);
  const { uid, name } = object.metadata;
  if (name !== target.name) {
    throw badRequest(`the name of the object (${name ?? ""}) does not match the name on the URL (${target.name})`);
  }
  if (uid && uid !== old.object.metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.object.metadata.uid}`;
    throw conflict(target.resource, name, why);
  }
  return replace(api, target, old, object, options);
}

/** Server-side apply isn't among them. */
export const patchTypes = {
  "application/json-patch+json": "json",
  "application/merge-patch+json": "merge",
  "application/strategic-merge-patch+json": "strategic",
} as const;

/** PATCH. @throws {StatusError} 400, 404, 409, 422 */
export function patch(
  api: Api,
  target: Target,
  body: unknown,
  contentType: keyof typeof patchTypes,
  options: WriteOptions,
): Entry {
  const type = patchTypes[contentType];
  const old = existing(api, target);
  let patched: unknown;
  try {
    patched = applyPatch(api, target.resource, old.object, body, type);
  } catch (error) {
    if (error instanceof PatchError) {
      throw type === "json"
        ? new StatusError(
            422,
            "Invalid",
            `the server rejected our request due to an error in our request: ${error.message}`,
          )
        : badRequest(error.message);
    }
    throw error;
  }
  return replace(api, target, old, readObject(api, target.resource, patched, options, old.object), options);
}

function applyPatch(
  api: Api,
  resource: ResourceType,
  old: Stored,
  body: unknown,
  type: "json" | "merge" | "strategic",
): unknown {
  if (type === "json") return jsonPatch(old, body);
  if (!isObject(body)) throw badRequest("a merge patch is a JSON object");
  if (type === "merge") return mergePatch(old, body);
  return strategicMergePatch(old, body as Json, api.schemas.node(resource.definition));
}

function existing(api: Api, target: Target): Entry {
  const name = target.name ?? "";
  const entry = api.store.get(target.resource, keyOf(target.namespace, name));
  if (!entry) throw notFound(target.resource, name);
  return entry;
}

/** Writes the new state of an object, or nothing where it is what stands there already. */
function replace(api: Api, target: Target, old: Entry, next: Stored, options: WriteOptions): Entry {
  const { resource } = target;
  const { name } = old.object.metadata;
  const version = next.metadata.resourceVersion;
  if (version && version !== old.object.metadata.resourceVersion) throw staleVersion(resource, name);
  const object = merged(target, old.object, next);
  if (jsonEqual(object, old.object)) return old;
  const errors = [...metadataErrors(old.object.metadata, next.metadata), ...updateErrors(target, object, old.object)];
  if (errors.length > 0) throw invalidObject(resource, name, errors);
  if (options.dryRun) return new Entry(old.key, old.revision, object);
  const entry = api.store.put(resource, old.key, object);
  return released(object) ? removeNow(api, resource, entry) : entry;
}

/**
 * Which part of the new state counts: `/status` changes status and metadata, `/ephemeralcontainers` these alone, everything
 * else all but the status.
 */
function merged(target: Target, old: Stored, next: Stored): Stored {
  const hasStatus = target.resource.subresources.includes("status");
  if (target.subresource === "ephemeralcontainers") {
    const { ephemeralContainers } = next.spec as PodSpec;
    const spec = { ...(old.spec as PodSpec), ...(ephemeralContainers && { ephemeralContainers }) };
    return { ...old, spec, metadata: mergedMetadata(target, old, { ...old, spec }) };
  }
  const statusOnly = target.subresource === "status";
  const spec = statusOnly ? old : next;
  const result: Stored = { ...spec, metadata: mergedMetadata(target, old, next) };
  if (!hasStatus) return result;
  const status = statusOnly ? next.status : old.status;
  if (status === undefined) delete result.status;
  else result.status = target.resource.id === "pods" ? withQosClass(status, old) : status;
  return result;
}

function withQosClass(status: unknown, old: Stored): unknown {
  const { qosClass } = (old.status ?? {}) as PodStatus;
  return qosClass && isObject(status) && !status.qosClass ? { ...status, qosClass } : status;
}

function mergedMetadata(target: Target, old: Stored, next: Stored): StoredMeta {
  const before = old.metadata;
  const result: StoredMeta = {
    ...without(
      next.metadata,
      "managedFields",
      "selfLink",
      "deletionTimestamp",
      "deletionGracePeriodSeconds",
      "generation",
    ),
    name: before.name,
    uid: before.uid,
    creationTimestamp: before.creationTimestamp,
    resourceVersion: before.resourceVersion,
  };
  if (before.namespace !== undefined) result.namespace = before.namespace;
  if (before.deletionTimestamp !== undefined) result.deletionTimestamp = before.deletionTimestamp;
  if (before.deletionGracePeriodSeconds !== undefined) {
    result.deletionGracePeriodSeconds = before.deletionGracePeriodSeconds;
  }
  if (before.generation !== undefined) {
    const same = target.subresource === "status" || jsonEqual(next.spec, old.spec);
    result.generation = same ? before.generation : before.generation + 1;
  }
  return result;
}

function metadataErrors(before: StoredMeta, next: Partial<StoredMeta>): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ["name", "namespace", "uid"] as const) {
    if (next[field] && next[field] !== before[field]) {
      errors.push(invalid(`metadata.${field}`, next[field], "field is immutable"));
    }
  }
  if (next.labels !== before.labels) errors.push(...validateLabels("metadata.labels", next.labels));
  if (next.annotations !== before.annotations) {
    errors.push(...validateAnnotations("metadata.annotations", next.annotations));
  }
  return errors;
}

function updateErrors({ resource, subresource }: Target, object: Stored, old: Stored): FieldError[] {
  const validateUpdate = subresource === "ephemeralcontainers" ? validateEphemeralUpdate : resource.validateUpdate;
  const errors = validateUpdate?.(object, old) ?? [];
  // The status holds nothing that `validate` looks at.
  const sameContent = object.spec !== undefined && object.spec === old.spec;
  return errors.length > 0 || sameContent ? errors : (resource.validate?.(object) ?? []);
}

/** Marked for deletion, its time over, and nobody's finalizer left on it. */
function released(object: Stored): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  return (
    deletionTimestamp !== undefined && !deletionGracePeriodSeconds && !finalizers?.length && object.kind !== "Namespace"
  );
}
