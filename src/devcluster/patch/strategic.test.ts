import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Json } from "../objects.ts";
import { loadSchemas, type SchemaNode } from "../schema/schema.ts";
import { PatchError } from "./json.ts";
import { strategicMergePatch } from "./strategic.ts";

const schemas = await loadSchemas();
const pod = schemas.node("io.k8s.api.core.v1.Pod");
const apply = (target: Json, patch: Json) => strategicMergePatch(target, patch, pod);
const spec = (containers: Json[], more: Json = {}) => ({ spec: { containers, ...more } });
const conditions = (list: Json[]) => ({ status: { conditions: list } });

describe("a strategic merge patch", () => {
  const cases: [string, Json, Json, Json][] = [
    [
      "keeps the conditions that it does not name",
      conditions([
        { type: "A", status: "False" },
        { type: "B", status: "True" },
      ]),
      conditions([{ type: "A", status: "True" }]),
      conditions([
        { type: "A", status: "True" },
        { type: "B", status: "True" },
      ]),
    ],
    [
      "puts a new item of a merged list first, as the API server does",
      spec([{ name: "a", image: "x" }]),
      spec([{ name: "b", image: "y" }]),
      spec([
        { name: "b", image: "y" },
        { name: "a", image: "x" },
      ]),
    ],
    [
      "orders a merged list by $setElementOrder",
      spec([{ name: "a" }, { name: "b" }]),
      spec([{ name: "c", image: "z" }], {
        "$setElementOrder/containers": [{ name: "a" }, { name: "c" }, { name: "b" }],
      }),
      spec([{ name: "a" }, { name: "c", image: "z" }, { name: "b" }]),
    ],
    [
      "keeps an item that $setElementOrder does not know at its place",
      spec([{ name: "a" }, { name: "server" }, { name: "b" }]),
      spec([], { "$setElementOrder/containers": [{ name: "a" }, { name: "b" }] }),
      spec([{ name: "a" }, { name: "server" }, { name: "b" }]),
    ],
    [
      "removes an item of a merged list by $patch: delete",
      spec([{ name: "a" }, { name: "b" }]),
      spec([{ name: "a", $patch: "delete" }]),
      spec([{ name: "b" }]),
    ],
    [
      "replaces a merged list by $patch: replace",
      spec([{ name: "a" }, { name: "b" }]),
      spec([{ $patch: "replace" }, { name: "c" }]),
      spec([{ name: "c" }]),
    ],
    [
      "replaces an object by $patch: replace",
      { metadata: { labels: { a: "1", b: "2" } } },
      { metadata: { labels: { $patch: "replace", c: "3" } } },
      { metadata: { labels: { c: "3" } } },
    ],
    [
      "empties an object by $patch: delete",
      { spec: { nodeSelector: { a: "1" } } },
      { spec: { nodeSelector: { $patch: "delete" } } },
      { spec: { nodeSelector: {} } },
    ],
    [
      "drops the keys that $retainKeys does not name",
      { spec: { volumes: [{ name: "v", configMap: { name: "x" } }] } },
      { spec: { volumes: [{ name: "v", $retainKeys: ["name", "emptyDir"], emptyDir: {} }] } },
      { spec: { volumes: [{ name: "v", emptyDir: {} }] } },
    ],
    [
      "joins lists of plain values that merge",
      { metadata: { finalizers: ["a", "b"] } },
      { metadata: { finalizers: ["b", "c"] } },
      { metadata: { finalizers: ["a", "b", "c"] } },
    ],
    [
      "takes values out of such a list by $deleteFromPrimitiveList",
      { metadata: { finalizers: ["a", "b"] } },
      { metadata: { "$deleteFromPrimitiveList/finalizers": ["a"] } },
      { metadata: { finalizers: ["b"] } },
    ],
    [
      "replaces a list that does not merge",
      spec([{ name: "a", args: ["1", "2"] }]),
      spec([{ name: "a", args: ["3"] }]),
      spec([{ name: "a", args: ["3"] }]),
    ],
    [
      "removes what is null",
      { metadata: { labels: { a: "1", b: "2" } } },
      { metadata: { labels: { a: null } } },
      { metadata: { labels: { b: "2" } } },
    ],
    [
      "leaves no null and no directive in what it adds",
      {},
      spec([
        {
          name: "a",
          image: null,
          env: [
            { name: "X", value: "1" },
            { $patch: "delete", name: "Y" },
          ],
        },
      ]),
      spec([{ name: "a", env: [{ name: "X", value: "1" }] }]),
    ],
    [
      "replaces running by terminated where the patch says so",
      { status: { containerStatuses: [{ name: "a", state: { running: {} } }] } },
      { status: { containerStatuses: [{ name: "a", state: { terminated: { exitCode: 0 } } }] } },
      { status: { containerStatuses: [{ name: "a", state: { terminated: { exitCode: 0 } } }] } },
    ],
  ];
  it.each(cases)("%s", (_name, target, patch, expected) => {
    const before = structuredClone({ target, patch });
    expect(apply(target, patch)).toEqual(expected);
    expect({ target, patch }).toEqual(before);
  });

  it.each<[string, Json]>([
    ["an unknown directive", { spec: { $patch: "explode" } }],
    ["an item without its merge key", spec([{ image: "x" }])],
    [
      "a field that $retainKeys does not name",
      { spec: { volumes: [{ name: "v", $retainKeys: ["name"], emptyDir: {} }] } },
    ],
    ["a $setElementOrder that is no list", { spec: { containers: [{ name: "a" }], "$setElementOrder/containers": 1 } }],
  ])("refuses %s", (_name, patch) => {
    expect(() => apply(spec([{ name: "a" }], { volumes: [{ name: "v" }] }), patch)).toThrow(PatchError);
  });

  it("makes the target of the patch that a client computes from it", () => {
    fc.assert(
      fc.property(podSpecs, podSpecs, (from, to) => {
        const patch = difference(from, to, pod);
        expect(apply(from, patch)).toEqual(to);
      }),
    );
  });

  it("changes nothing when an object is patched with itself", () => {
    fc.assert(
      fc.property(podSpecs, (object) => {
        expect(apply(object, object)).toEqual(object);
      }),
    );
  });
});

const name = fc.constantFrom("a", "b", "c", "d");
const labels = fc.dictionary(name, fc.constantFrom("1", "2"), { maxKeys: 3 });
const env = fc.uniqueArray(fc.record({ name, value: fc.constantFrom("x", "y") }), {
  selector: (v) => v.name,
  maxLength: 3,
});
const container = fc.record({ name, image: name, args: fc.array(name, { maxLength: 2 }), env });
const podSpecs: fc.Arbitrary<Json> = fc.record({
  metadata: fc.record({ labels, finalizers: fc.uniqueArray(name, { maxLength: 3 }) }),
  spec: fc.record({
    containers: fc.uniqueArray(container, { selector: (c) => c.name, maxLength: 4 }),
    nodeSelector: labels,
  }),
});

/** What kubectl does to two versions: the patch that leads from one to the other, lists in the order of the target. */
function difference(from: Json, to: Json, schema: SchemaNode | undefined): Json {
  const patch: Json = {};
  for (const key of Object.keys(from)) if (!Object.hasOwn(to, key)) patch[key] = null;
  for (const [key, value] of Object.entries(to)) {
    const field = schema?.type === "object" ? schema.fields.get(key) : undefined;
    const old = from[key];
    if (Array.isArray(value) && Array.isArray(old) && field?.merge) {
      const { mergeKey } = field;
      patch[`$setElementOrder/${key}`] = mergeKey ? value.map((v: Json) => ({ [mergeKey]: v[mergeKey] })) : value;
      if (mergeKey === undefined) {
        patch[`$deleteFromPrimitiveList/${key}`] = old.filter((v) => !value.includes(v));
        patch[key] = value;
        continue;
      }
      const gone = old.filter((o: Json) => !value.some((v: Json) => v[mergeKey] === o[mergeKey]));
      patch[key] = [
        ...value.map((v: Json) => {
          const before = old.find((o: Json) => o[mergeKey] === v[mergeKey]) as Json | undefined;
          const item = field.node.type === "list" ? field.node.item : undefined;
          return before ? { ...difference(before, v, item), [mergeKey]: v[mergeKey] } : v;
        }),
        ...gone.map((o: Json) => ({ [mergeKey]: o[mergeKey], $patch: "delete" })),
      ];
    } else if (isPlainObject(value) && isPlainObject(old)) patch[key] = difference(old, value, field?.node);
    else patch[key] = value;
  }
  return patch;
}

function isPlainObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
