import type { Stored } from "../objects.ts";
import type { ResourceType } from "../resources.ts";
import { apiVersion } from "../rest/read.ts";
import type { Entry } from "../store/entry.ts";
import { ageColumn, type Column, nameColumn } from "./column.ts";
import {
  configMapColumns,
  eventColumns,
  leaseColumns,
  namespaceColumns,
  nodeColumns,
  secretColumns,
  serviceAccountColumns,
  serviceColumns,
} from "./others.ts";
import { podColumns } from "./pods.ts";

export interface TableOptions {
  now: number;
  /** What comes along with each row: `None`, `Metadata` or `Object`. */
  include: string;
  revision: number;
  columns: boolean;
}

const byResource: Readonly<Record<string, Column[]>> = {
  configmaps: configMapColumns,
  events: eventColumns,
  "leases.coordination.k8s.io": leaseColumns,
  namespaces: namespaceColumns,
  nodes: nodeColumns,
  pods: podColumns,
  secrets: secretColumns,
  serviceaccounts: serviceAccountColumns,
  services: serviceColumns,
};

/** meta.k8s.io/v1 Table, which kubectl prints as it is. */
export function tableOf(resource: ResourceType, entries: readonly Entry[], options: TableOptions): object {
  const columns = byResource[resource.id] ?? [nameColumn, ageColumn];
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata: { resourceVersion: String(options.revision) },
    columnDefinitions: options.columns
      ? columns.map(({ name, type, format = "", priority }) => ({ name, type, format, description: "", priority }))
      : null,
    rows: entries.map(({ object }) => ({
      cells: columns.map((column) => column.cell(object, options.now)),
      ...(options.include === "None" ? {} : { object: rowObject(resource, object, options.include) }),
    })),
  };
}

function rowObject(resource: ResourceType, object: Stored, include: string): object {
  if (include === "Object") return { ...object, apiVersion: apiVersion(resource), kind: resource.kind };
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata };
}
