import { version } from "../discovery.ts";
import type { Json } from "../objects.ts";
import { isObject } from "../objects.ts";
import { type ResourceType, resources } from "../resources.ts";
import { apiVersion } from "../rest/read.ts";
import type { Schemas } from "../schema/schema.ts";

/** What may be asked of a path, in the form that both documents share. */
interface Operation {
  method: "get" | "post" | "put" | "patch" | "delete";
  action: string;
  query: readonly string[];
}

const reading = ["fieldSelector", "labelSelector", "limit", "continue", "resourceVersion", "timeoutSeconds", "watch"];
const writing = ["dryRun", "fieldManager", "fieldValidation"];

const collection: Operation[] = [
  { method: "get", action: "list", query: reading },
  { method: "post", action: "post", query: writing },
  { method: "delete", action: "deletecollection", query: ["dryRun", ...reading] },
];
const item: Operation[] = [
  { method: "get", action: "get", query: [] },
  { method: "put", action: "put", query: writing },
  { method: "patch", action: "patch", query: [...writing, "force"] },
  { method: "delete", action: "delete", query: ["dryRun", "gracePeriodSeconds", "propagationPolicy"] },
];

function paths(only: (resource: ResourceType) => boolean, parameter: (name: string) => Json): Json {
  const result: Json = {};
  for (const resource of resources.filter(only)) {
    const root = resource.group === "" ? "/api/v1" : `/apis/${apiVersion(resource)}`;
    const base = resource.namespaced
      ? `${root}/namespaces/{namespace}/${resource.plural}`
      : `${root}/${resource.plural}`;
    if (resource.namespaced)
      result[`${root}/${resource.plural}`] = pathItem(resource, collection.slice(0, 1), parameter);
    result[base] = pathItem(resource, collection, parameter);
    result[`${base}/{name}`] = pathItem(resource, item, parameter);
    if (resource.subresources.includes("status")) {
      result[`${base}/{name}/status`] = pathItem(resource, item.slice(0, 3), parameter);
    }
  }
  return result;
}

function pathItem(resource: ResourceType, operations: Operation[], parameter: (name: string) => Json): Json {
  const { group, kind } = resource;
  return Object.fromEntries(
    operations.map(({ method, action, query }) => [
      method,
      {
        description: `${action} ${kind}`,
        operationId: `${action}${group === "" ? "Core" : group.split(".")[0]}V1${kind}`,
        parameters: query.map(parameter),
        responses: { 200: { description: "OK" } },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": { group, kind, version: resource.version },
      },
    ]),
  );
}

const info = { title: "Kubernetes", version: version.gitVersion };

/** The Swagger 2.0 document, from which `kubectl explain` and older `kubectl apply` work. */
export function documentV2(schemas: Schemas): Json {
  const parameter = (name: string) => ({ name, in: "query", type: "string", uniqueItems: true });
  return { swagger: "2.0", info, paths: paths(() => true, parameter), definitions: schemas.definitions };
}

/** The groups that have an OpenAPI 3 document each: `api/v1`, `apis/coordination.k8s.io/v1`. */
export function documentNames(): string[] {
  return [...new Set(resources.map(documentName))];
}

function documentName(resource: ResourceType): string {
  return resource.group === "" ? "api/v1" : `apis/${apiVersion(resource)}`;
}

const oldPrefix = "#/definitions/";
const metaRoots = ["DeleteOptions", "Status"].map((kind) => `io.k8s.apimachinery.pkg.apis.meta.v1.${kind}`);

/** One group's OpenAPI 3 document: its paths, and the schemas that its kinds refer to. */
export function documentV3(schemas: Schemas, name: string): Json {
  const served = resources.filter((resource) => documentName(resource) === name);
  const reached: Json = {};
  const visit = (definition: string): void => {
    const schema = schemas.definitions[definition];
    if (reached[definition] !== undefined || !schema) return;
    reached[definition] = {};
    reached[definition] = moved(schema, visit);
  };
  for (const { definition } of served) [definition, `${definition}List`].forEach(visit);
  metaRoots.forEach(visit);
  const parameter = (query: string) => ({ name: query, in: "query", schema: { type: "string", uniqueItems: true } });
  return {
    openapi: "3.0.0",
    info,
    paths: paths((resource) => served.includes(resource), parameter),
    components: { schemas: reached },
  };
}

/** A schema with its references at their OpenAPI 3 place; `visit` is told each of them. */
function moved(value: unknown, visit: (definition: string) => void): unknown {
  if (Array.isArray(value)) return value.map((entry) => moved(entry, visit));
  if (!isObject(value)) return value;
  const reference = value.$ref;
  if (typeof reference === "string" && reference.startsWith(oldPrefix)) {
    const definition = reference.slice(oldPrefix.length);
    visit(definition);
    const { $ref: _, ...rest } = value;
    // Beside a reference OpenAPI 3.0 ignores everything; allOf is how Kubernetes keeps the description.
    return { ...rest, allOf: [{ $ref: `#/components/schemas/${definition}` }] };
  }
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, moved(entry, visit)]));
}
