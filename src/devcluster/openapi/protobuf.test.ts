import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Json } from "../objects.ts";
import { loadSchemas } from "../schema/schema.ts";
import { documentNames, documentV2, documentV3 } from "./document.ts";
import { encodeDocument, encodeSchema } from "./protobuf.ts";

/** Reads the wire format back, without any knowledge of the messages: field number -> contents. */
function read(bytes: Buffer): Map<number, Buffer[]> {
  const fields = new Map<number, Buffer[]>();
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error("cut off");
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const length = tag % 8 === 2 ? varint() : 0;
    const content = tag % 8 === 2 ? bytes.subarray(at, at + length) : Buffer.from([varint()]);
    if (tag % 8 === 2) at += length;
    if (at > bytes.length) throw new Error("cut off");
    fields.set(Math.floor(tag / 8), [...(fields.get(Math.floor(tag / 8)) ?? []), content]);
  }
  return fields;
}

const one = (bytes: Buffer, ...path: number[]): Buffer =>
  path.reduce((inner, number) => read(inner).get(number)?.[0] ?? Buffer.alloc(0), bytes);

function decodeSchema(bytes: Buffer): Json {
  const fields = read(bytes);
  const result: Json = {};
  const text = (number: number, key: string) => {
    const value = fields.get(number)?.[0];
    if (value) result[key] = value.toString();
  };
  text(1, "$ref");
  text(2, "format");
  text(4, "description");
  if (fields.has(19)) result.required = fields.get(19)?.map(String);
  if (fields.has(21)) result.additionalProperties = decodeSchema(one(bytes, 21, 1));
  if (fields.has(22)) result.type = one(bytes, 22, 1).toString();
  if (fields.has(23)) result.items = decodeSchema(one(bytes, 23, 1));
  if (fields.has(25)) {
    const all = read(one(bytes, 25)).get(1) ?? [];
    result.properties = Object.fromEntries(all.map((entry) => [one(entry, 1).toString(), decodeSchema(one(entry, 2))]));
  }
  for (const extension of fields.get(31) ?? []) {
    result[one(extension, 1).toString()] = JSON.parse(one(extension, 2, 2).toString());
  }
  return result;
}

const word = fc.string({ unit: "binary", minLength: 1, maxLength: 200 });
const { schema } = fc.letrec<{ schema: Json }>((tie) => ({
  schema: fc.record(
    {
      description: word,
      type: fc.constantFrom("string", "object", "array"),
      format: word,
      required: fc.array(word, { minLength: 1, maxLength: 3 }),
      items: fc.oneof({ maxDepth: 3 }, fc.constant({}), tie("schema")),
      properties: fc.dictionary(
        word.filter((key) => key !== "__proto__"),
        fc.oneof({ maxDepth: 3 }, fc.constant({}), tie("schema")),
        { maxKeys: 3 },
      ),
      "x-kubernetes-patch-strategy": word,
    },
    { requiredKeys: [], noNullPrototype: true },
  ) as fc.Arbitrary<Json>,
}));

describe("the OpenAPI document in protobuf", () => {
  it("holds every schema that goes in", () => {
    fc.assert(
      fc.property(schema, (given) => {
        expect(decodeSchema(encodeSchema(given))).toEqual(given);
      }),
    );
  });

  it("tells kubectl that a PATCH of a pod knows dryRun and fieldValidation", async () => {
    const bytes = encodeDocument(documentV2(await loadSchemas()));
    expect(one(bytes, 1).toString()).toBe("2.0");
    const paths = read(one(bytes, 8)).get(2) ?? [];
    const pod = paths.find((path) => one(path, 1).toString() === "/api/v1/namespaces/{namespace}/pods/{name}");
    const patch = one(pod ?? Buffer.alloc(0), 2, 8);
    const names = (read(patch).get(8) ?? []).map((parameter) => one(parameter, 1, 2, 3, 4).toString());
    expect(names).toEqual(["dryRun", "fieldManager", "fieldValidation", "force"]);
    const extensions = (read(patch).get(13) ?? []).map((e) => [
      one(e, 1).toString(),
      JSON.parse(one(e, 2, 2).toString()),
    ]);
    expect(extensions).toContainEqual(["x-kubernetes-group-version-kind", { group: "", kind: "Pod", version: "v1" }]);
  });
});

it("every OpenAPI 3 document holds what its references point to", async () => {
  const schemas = await loadSchemas();
  for (const name of documentNames()) {
    const document = documentV3(schemas, name) as { components: { schemas: Json } };
    const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(0);
    for (const [, reference = ""] of references) expect(document.components.schemas).toHaveProperty([reference]);
    expect(JSON.stringify(document)).not.toContain("#/definitions/");
  }
});
