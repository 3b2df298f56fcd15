import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkVolumePath, isLabel, pathProblem, toPublicPath } from "./paths.ts";
import { checkPayload, configMapPayload, mergePayloads, type Payload, secretPayload } from "./payload.ts";
import { base64 } from "./testObjects.ts";

function shown(payload: Payload): Record<string, string> {
  return Object.fromEntries(
    [...payload].map(([path, { data, mode }]) => [path, `${Buffer.from(data)} ${mode.toString(8)}`]),
  );
}

describe("the files of a ConfigMap", () => {
  const configMap = { data: { "run.sh": "echo", "a.conf": "x" }, binaryData: { "b.bin": base64("raw") } };

  it("are all its keys, text and binary, with the default mode", () => {
    expect(shown(configMapPayload(configMap, { defaultMode: 0o640 }))).toEqual({
      "run.sh": "echo 640",
      "a.conf": "x 640",
      "b.bin": "raw 640",
    });
  });

  it("are its items where there are any, under their paths, with their modes", () => {
    const items = [
      { key: "run.sh", path: "bin/start", mode: 0o755 },
      { key: "b.bin", path: "./b//c" },
    ];
    expect(shown(configMapPayload(configMap, { items, defaultMode: 0o644 }))).toEqual({
      "bin/start": "echo 755",
      "b/c": "raw 644",
    });
  });

  it("an empty value is a file", () => {
    expect(
      shown(configMapPayload({ data: { k: "" } }, { items: [{ key: "k", path: "p" }], defaultMode: 0o644 })),
    ).toEqual({ p: " 644" });
  });

  it("a missing key is an error, unless optional", () => {
    const items = [{ key: "none", path: "p" }];
    expect(() => configMapPayload(configMap, { items, defaultMode: 0o644 })).toThrow(
      "configmap references non-existent config key: none",
    );
    expect(configMapPayload(configMap, { items, optional: true, defaultMode: 0o644 }).size).toBe(0);
    expect(configMapPayload(undefined, { items, optional: true, defaultMode: 0o644 }).size).toBe(0);
  });
});

describe("the files of a Secret", () => {
  const secret = { data: { key: base64("k") } };

  it.each([
    [0o644, "600"],
    [0o400, "400"],
    [0o777, "700"],
  ])("with the volume's mode %i are %s: for their user alone", (defaultMode, mode) => {
    expect(shown(secretPayload(secret, { defaultMode }))).toEqual({ key: `k ${mode}` });
  });

  it("have the mode of their item, where it asks for one", () => {
    const items = [
      { key: "key", path: "a", mode: 0o444 },
      { key: "key", path: "b" },
    ];
    expect(shown(secretPayload(secret, { items, defaultMode: 0o644 }))).toEqual({ a: "k 444", b: "k 600" });
  });

  it("a missing key is an error, in the kubelet's words", () => {
    const items = [{ key: "none", path: "p" }];
    expect(() => secretPayload(secret, { items, defaultMode: 0o644 })).toThrow(
      "references non-existent secret key: none",
    );
  });
});

it("of two sources with the same path the later wins", () => {
  const file = (text: string) => new Map([["p", { data: Buffer.from(text), mode: 0o644 }]]);
  expect(shown(mergePayloads([file("first"), file("second")]))).toEqual({ p: "second 644" });
});

it("a path can't be a file and a directory", () => {
  const file = { data: Buffer.from(""), mode: 0o644 };
  const payload = new Map([
    ["a/b/c", file],
    ["a/b", file],
  ]);
  expect(() => checkPayload(payload)).toThrow('conflicting paths: "a/b" is a file, and the directory of "a/b/c"');
  expect(() =>
    checkPayload(
      new Map([
        ["a", file],
        ["ab/c", file],
      ]),
    ),
  ).not.toThrow();
});

describe("a path inside a volume", () => {
  it.each([
    ["a", "a"],
    ["a/b.txt", "a/b.txt"],
    ["./a//b/", "a/b"],
    [".hidden", ".hidden"],
    ["a/..b", "a/..b"],
    ["a..b", "a..b"],
    ["x".repeat(255), "x".repeat(255)],
  ])("%j is %j", (path, normal) => {
    expect(checkVolumePath(path, "path")).toBe(normal);
  });

  it.each([
    ["", "must name a file"],
    [".", "must name a file"],
    ["./", "must name a file"],
    ["/etc/passwd", "must be a relative path"],
    ["..", "must not contain '..'"],
    ["../x", "must not contain '..'"],
    ["./..data", "must not start with '..'"],
    ["..data", "must not start with '..'"],
    ["a/../b", "must not contain '..'"],
    ["a/..", "must not contain '..'"],
    ["./../x", "must not contain '..'"],
    ["a\0b", "must not contain a NUL character"],
    ["x".repeat(256), "names in it must be at most 255 bytes long"],
    ["é".repeat(128), "names in it must be at most 255 bytes long"],
    ["x/".repeat(2049), "must be at most 4096 bytes long"],
  ])("%j is refused: %s", (path, problem) => {
    expect(() => checkVolumePath(path, "path")).toThrow(`invalid path ${JSON.stringify(path)}: ${problem}`);
  });

  it("never leads out of the volume, whatever it is", () => {
    const names = fc.constantFrom("..", ".", "", "a", "..a", "b..", "\0", "...");
    const paths = fc.array(names, { maxLength: 6 }).map((parts) => parts.join("/"));
    fc.assert(
      fc.property(paths, (path) => {
        let checked: string;
        try {
          checked = checkVolumePath(path, "path");
        } catch {
          return true;
        }
        const parts = checked.split("/");
        return !checked.startsWith("..") && !parts.includes("..") && !parts.includes("") && !parts.includes(".");
      }),
    );
  });
});

it("an absolute path may be anything without ..", () => {
  expect(pathProblem("/a/b")).toBeUndefined();
  expect(pathProblem("/a/../b")).toBe("must not contain '..'");
});

it.each([
  ["a", true],
  ["a-1", true],
  ["a".repeat(63), true],
  ["a".repeat(64), false],
  ["", false],
  ["..", false],
  ["a/b", false],
  ["A", false],
  ["-a", false],
  ["a.b", false],
])("%j as a volume's name: %s", (name, valid) => {
  expect(isLabel(name)).toBe(valid);
});

it.each([
  ["/state/pods/u1/configmaps/a/run.sh", "/home/u/p1/configmaps/a/run.sh"],
  ["/state/pods/u1", "/home/u/p1"],
  ["/state/pods/u12/x", "/state/pods/u12/x"],
  ["/etc/x", "/etc/x"],
])("users see %s as %s", (path, seen) => {
  expect(toPublicPath(path, "/state/pods/u1", "/home/u/p1")).toBe(seen);
  expect(toPublicPath(path, "/state/pods/u1", undefined)).toBe(path);
});
