import type { Json } from "../objects.ts";

/** What a value may be, compiled from an OpenAPI definition; the definitions refer to each other, so fields are lazy. */
export type SchemaNode =
  | { type: "object"; name: string; fields: Map<string, SchemaField>; required: readonly string[] }
  | { type: "map"; value: SchemaNode }
  | { type: "list"; item: SchemaNode }
  | { type: "string" | "bytes" | "integer" | "number" | "boolean" | "intOrString" | "quantity" | "any"; go: string };

export interface SchemaField {
  node: SchemaNode;
  /** Lists with this are merged item by item in a strategic merge patch; others are replaced. */
  merge: boolean;
  /** The field that tells the items of a merged list apart; absent for lists of plain values. */
  mergeKey: string | undefined;
}

interface Definition {
  $ref?: string;
  type?: string;
  format?: string;
  properties?: Record<string, Definition>;
  additionalProperties?: Definition;
  items?: Definition;
  required?: string[];
  "x-kubernetes-patch-strategy"?: string;
  "x-kubernetes-patch-merge-key"?: string;
}

const plain: Record<string, SchemaNode> = {
  "io.k8s.apimachinery.pkg.api.resource.Quantity": { type: "quantity", go: "resource.Quantity" },
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": { type: "intOrString", go: "intstr.IntOrString" },
  "io.k8s.apimachinery.pkg.apis.meta.v1.Time": { type: "string", go: "v1.Time" },
  "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": { type: "string", go: "v1.MicroTime" },
  "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": { type: "any", go: "v1.FieldsV1" },
  "io.k8s.apimachinery.pkg.runtime.RawExtension": { type: "any", go: "runtime.RawExtension" },
};

/** The schemas of all kinds, compiled as they are asked for. */
export class Schemas {
  /** The definitions as Kubernetes publishes them, for the OpenAPI documents. */
  readonly definitions: Record<string, Json>;
  readonly #compiled = new Map<string, SchemaNode>();

  constructor(definitions: Record<string, Json>) {
    this.definitions = definitions;
  }

  /** @param name the definition's full name, such as `io.k8s.api.core.v1.Pod` */
  node(name: string): SchemaNode {
    const known = plain[name] ?? this.#compiled.get(name);
    if (known) return known;
    const definition = this.definitions[name] as Definition | undefined;
    if (!definition?.properties) throw new TypeError(`no schema for ${name}`);
    const fields = new Map<string, SchemaField>();
    const node: SchemaNode = {
      type: "object",
      name: name.slice(name.lastIndexOf(".") + 1),
      fields,
      required: definition.required ?? [],
    };
    // Registered before its fields are compiled: definitions refer to themselves.
    this.#compiled.set(name, node);
    for (const [field, schema] of Object.entries(definition.properties)) {
      fields.set(field, {
        node: this.#compile(schema),
        merge: (schema["x-kubernetes-patch-strategy"] ?? "").split(",").includes("merge"),
        mergeKey: schema["x-kubernetes-patch-merge-key"],
      });
    }
    return node;
  }

  #compile(schema: Definition): SchemaNode {
    if (schema.$ref) return this.node(schema.$ref.slice("#/definitions/".length));
    switch (schema.type) {
      case "array":
        return { type: "list", item: this.#compile(schema.items ?? {}) };
      case "object":
        return schema.additionalProperties
          ? { type: "map", value: this.#compile(schema.additionalProperties) }
          : { type: "any", go: "interface {}" };
      case "string":
        return schema.format === "byte" ? { type: "bytes", go: "[]uint8" } : { type: "string", go: "string" };
      case "integer":
        return { type: "integer", go: schema.format ?? "int64" };
      case "number":
        return { type: "number", go: "float64" };
      case "boolean":
        return { type: "boolean", go: "bool" };
      default:
        return { type: "any", go: "interface {}" };
    }
  }
}

/** Loads the definitions; apart from the module's own import, since they cost some milliseconds. */
export async function loadSchemas(): Promise<Schemas> {
  const module = await import("../../kube/generated/definitions.json", { with: { type: "json" } });
  return new Schemas(module.default.definitions as unknown as Record<string, Json>);
}
