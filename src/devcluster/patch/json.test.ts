import { describe, expect, it } from "vitest";
import { jsonPatch, PatchError } from "./json.ts";
import { mergePatch } from "./merge.ts";

describe("a JSON patch", () => {
  it.each<[string, unknown, unknown[], unknown]>([
    ["adds to an object", { a: 1 }, [{ op: "add", path: "/b", value: 2 }], { a: 1, b: 2 }],
    ["inserts into a list", { a: [1, 3] }, [{ op: "add", path: "/a/1", value: 2 }], { a: [1, 2, 3] }],
    ["appends to a list", { a: [1] }, [{ op: "add", path: "/a/-", value: 2 }], { a: [1, 2] }],
    ["removes", { a: { b: 1, c: 2 } }, [{ op: "remove", path: "/a/b" }], { a: { c: 2 } }],
    ["replaces deep inside", { a: [{ b: 1 }] }, [{ op: "replace", path: "/a/0/b", value: 2 }], { a: [{ b: 2 }] }],
    [
      "reads ~1 as a slash and ~0 as a tilde",
      { "x/y~": 1 },
      [{ op: "replace", path: "/x~1y~0", value: 2 }],
      { "x/y~": 2 },
    ],
    ["moves", { a: 1 }, [{ op: "move", from: "/a", path: "/b" }], { b: 1 }],
    ["copies", { a: 1 }, [{ op: "copy", from: "/a", path: "/b" }], { a: 1, b: 1 }],
    [
      "goes on after a test that holds",
      { a: 1 },
      [
        { op: "test", path: "/a", value: 1 },
        { op: "remove", path: "/a" },
      ],
      {},
    ],
    ["replaces the whole document", { a: 1 }, [{ op: "replace", path: "", value: 2 }], 2],
  ])("%s", (_name, target, operations, expected) => {
    const before = structuredClone(target);
    expect(jsonPatch(target, operations)).toEqual(expected);
    expect(target).toEqual(before);
  });

  it.each<[string, unknown]>([
    ["a test that fails", [{ op: "test", path: "/a", value: 2 }]],
    ["a path that is not there", [{ op: "remove", path: "/x/y" }]],
    ["an index beyond the list", [{ op: "add", path: "/l/5", value: 1 }]],
    ["an unknown operation", [{ op: "explode", path: "/a" }]],
    ["an operation without a value", [{ op: "add", path: "/a" }]],
    ["moving a thing into itself", [{ op: "move", from: "/o", path: "/o/x" }]],
    ["what is no list", { op: "add" }],
  ])("refuses %s", (_name, operations) => {
    expect(() => jsonPatch({ a: 1, l: [1], o: {} }, operations)).toThrow(PatchError);
  });
});

it("a merge patch removes by null, merges objects and replaces lists", () => {
  const patched = mergePatch({ a: { b: 1, c: 2 }, l: [1, 2] }, { a: { b: null, d: 3 }, l: [3] });
  expect(patched).toEqual({ a: { c: 2, d: 3 }, l: [3] });
});
