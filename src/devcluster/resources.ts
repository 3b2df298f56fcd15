import { withEventDefaults, withNamespaceDefaults, withSecretData, withServiceDefaults } from "./defaults/others.ts";
import { withPodDefaults } from "./defaults/pod.ts";
import { isObject, type Json, type Stored } from "./objects.ts";
import type { FieldError, ResourceName } from "./status.ts";
import type { ResourceKey } from "./store/store.ts";
import { validateData, validateDataUpdate } from "./validation/data.ts";
import { validatePod } from "./validation/pod.ts";
import { validatePodUpdate } from "./validation/podUpdate.ts";

/** What is served of a kind; a new kind is a new row of `resources`. */
export interface ResourceType extends ResourceName, ResourceKey {
  version: "v1";
  singular: string;
  shortNames: readonly string[];
  namespaced: boolean;
  /** The kind's schema in the definitions. */
  definition: string;
  subresources: readonly string[];
  /** What a field selector may name, and where it stands in the object. */
  fields: Readonly<Record<string, (object: Stored) => string>>;
  /** How names are checked: a DNS subdomain of 253, or a DNS label of 63. */
  nameFormat: "subdomain" | "label" | "path";
  /** Fills in what a real API server fills in, each time that an object is read off the wire. */
  defaults?: (object: Stored) => Stored;
  validate?: (object: Stored) => FieldError[];
  validateUpdate?: (object: Stored, old: Stored) => FieldError[];
  /** The deleted object is the answer to a deletion, not a Status. */
  returnsDeleted: boolean;
}

/** The text at a path of plain keys, `""` where there is none, as field selectors compare it. */
function text(...path: string[]): (object: Stored) => string {
  return (object) => {
    let value: unknown = object;
    for (const key of path) value = isObject(value) ? (value as Json)[key] : undefined;
    return value === undefined || value === null ? "" : String(value);
  };
}

const nameFields = { "metadata.name": text("metadata", "name") };
const commonFields = { ...nameFields, "metadata.namespace": text("metadata", "namespace") };

type Row = Pick<ResourceType, "plural" | "kind" | "namespaced"> & Partial<ResourceType>;

function resource(row: Row): ResourceType {
  const group = row.group ?? "";
  const packageName = group === "" ? "core" : group.split(".")[0];
  return {
    group,
    version: "v1",
    id: group === "" ? row.plural : `${row.plural}.${group}`,
    journaled: true,
    singular: row.kind.toLowerCase(),
    shortNames: [],
    definition: `io.k8s.api.${packageName}.v1.${row.kind}`,
    subresources: [],
    nameFormat: "subdomain",
    returnsDeleted: false,
    ...row,
    fields: { ...(row.namespaced ? commonFields : nameFields), ...row.fields },
  };
}

export const resources: readonly ResourceType[] = [
  resource({
    plural: "namespaces",
    kind: "Namespace",
    namespaced: false,
    shortNames: ["ns"],
    subresources: ["status", "finalize"],
    nameFormat: "label",
    fields: { "status.phase": text("status", "phase") },
    defaults: withNamespaceDefaults,
    returnsDeleted: true,
  }),
  resource({
    plural: "nodes",
    kind: "Node",
    namespaced: false,
    shortNames: ["no"],
    subresources: ["status", "proxy"],
    fields: { "spec.unschedulable": text("spec", "unschedulable") },
  }),
  resource({
    plural: "pods",
    kind: "Pod",
    namespaced: true,
    shortNames: ["po"],
    subresources: ["status", "ephemeralcontainers", "binding", "eviction", "log", "exec", "attach", "portforward"],
    fields: {
      "spec.nodeName": text("spec", "nodeName"),
      "spec.restartPolicy": text("spec", "restartPolicy"),
      "spec.schedulerName": text("spec", "schedulerName"),
      "spec.serviceAccountName": text("spec", "serviceAccountName"),
      "spec.hostNetwork": (pod) => String(isObject(pod.spec) && pod.spec.hostNetwork === true),
      "status.phase": text("status", "phase"),
      "status.podIP": text("status", "podIP"),
      "status.nominatedNodeName": text("status", "nominatedNodeName"),
    },
    defaults: withPodDefaults,
    validate: validatePod,
    validateUpdate: validatePodUpdate,
    returnsDeleted: true,
  }),
  resource({
    plural: "configmaps",
    kind: "ConfigMap",
    namespaced: true,
    shortNames: ["cm"],
    validate: validateData,
    validateUpdate: validateDataUpdate,
  }),
  resource({
    plural: "secrets",
    kind: "Secret",
    namespaced: true,
    fields: { type: text("type") },
    defaults: withSecretData,
    validate: validateData,
    validateUpdate: validateDataUpdate,
  }),
  resource({
    plural: "serviceaccounts",
    kind: "ServiceAccount",
    namespaced: true,
    shortNames: ["sa"],
    subresources: ["token"],
    returnsDeleted: true,
  }),
  resource({
    plural: "services",
    kind: "Service",
    namespaced: true,
    shortNames: ["svc"],
    subresources: ["status"],
    nameFormat: "label",
    fields: { "spec.clusterIP": text("spec", "clusterIP"), "spec.type": text("spec", "type") },
    defaults: withServiceDefaults,
    returnsDeleted: true,
  }),
  // Nobody binds them here: whoever makes them says by hand that they are bound.
  resource({
    plural: "persistentvolumeclaims",
    kind: "PersistentVolumeClaim",
    namespaced: true,
    shortNames: ["pvc"],
    subresources: ["status"],
    returnsDeleted: true,
  }),
  resource({
    plural: "persistentvolumes",
    kind: "PersistentVolume",
    namespaced: false,
    shortNames: ["pv"],
    subresources: ["status"],
    returnsDeleted: true,
  }),
  resource({
    plural: "events",
    kind: "Event",
    namespaced: true,
    shortNames: ["ev"],
    journaled: false,
    nameFormat: "path",
    fields: {
      "involvedObject.kind": text("involvedObject", "kind"),
      "involvedObject.namespace": text("involvedObject", "namespace"),
      "involvedObject.name": text("involvedObject", "name"),
      "involvedObject.uid": text("involvedObject", "uid"),
      "involvedObject.apiVersion": text("involvedObject", "apiVersion"),
      "involvedObject.resourceVersion": text("involvedObject", "resourceVersion"),
      "involvedObject.fieldPath": text("involvedObject", "fieldPath"),
      reason: text("reason"),
      reportingComponent: text("reportingComponent"),
      source: text("source", "component"),
      type: text("type"),
    },
    defaults: withEventDefaults,
  }),
  resource({
    plural: "leases",
    kind: "Lease",
    group: "coordination.k8s.io",
    namespaced: true,
    journaled: false,
  }),
];

export function resourceById(id: string): ResourceType {
  const found = resources.find((type) => type.id === id);
  if (!found) throw new TypeError(`no resource ${id}`);
  return found;
}

export const podsResource = resourceById("pods");
export const nodesResource = resourceById("nodes");
export const eventsResource = resourceById("events");
export const namespacesResource = resourceById("namespaces");
export const serviceAccountsResource = resourceById("serviceaccounts");
