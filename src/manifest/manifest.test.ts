import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HostletError } from "../errors.ts";
import { parseManifests, readManifests } from "./read.ts";
import { parseYaml } from "./yaml.ts";

const value = (text: string) => parseYaml(text, "f.yaml")[0]?.value;
const pod = (name: string) => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\n`;
const names = (manifests: { object: { metadata?: { name?: string } } }[]) =>
  manifests.map((m) => m.object.metadata?.name);

describe("YAML is read as kubectl reads it", () => {
  test.each([
    ["0644 is octal", "a: 0644", { a: 420 }],
    ["0o644 is octal, too", "a: 0o644\nb: -0o10", { a: 420, b: -8 }],
    ["a number with leading zero and no octal digits is decimal", "a: 089", { a: 89 }],
    ["1:30 stays a string", "a: 1:30\nb: 1:30:00.5", { a: "1:30", b: "1:30:00.5" }],
    ["a date stays a string", "a: 2001-01-01\nb: 2001-01-01T00:00:00Z", { a: "2001-01-01", b: "2001-01-01T00:00:00Z" }],
    ["yes and on are booleans", "a: yes\nb: on\nc: Off\nd: n", { a: true, b: true, c: false, d: false }],
    ["quoted ones are strings", `a: "yes"\nb: '0644'`, { a: "yes", b: "0644" }],
    ["a space before the colon is nothing", "data :\n  x : 1", { data: { x: 1 } }],
    ["keys become strings", "1: a\nyes: b\n1.5: c", { 1: "a", true: "b", "1.5": "c" }],
    ["merge keys and anchors", "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", { a: { b: 1, c: 2 }, d: { b: 1, c: 3 } }],
    ["!!binary is decoded", "a: !!binary aGVsbG8=", { a: "hello" }],
    ["a key __proto__ is a key", "__proto__: {a: 1}", JSON.parse('{"__proto__":{"a":1}}')],
    ["JSON indented by tabs", '{\n\t"a": "\\ud83d\\ude00\\/",\n\t"b": [\n\t\t1\n\t]\n}', { a: "😀/", b: [1] }],
    ["a byte order mark is skipped", "\ufeffa: 1", { a: 1 }],
    ["lines may end with CR LF", "a: 1\r\nb: |\r\n  x\r\n", { a: 1, b: "x\n" }],
  ])("%s", (_, text, expected) => expect(value(text)).toEqual(expected));

  test("what an anchor names is not shared", () => {
    const read = value("a: &x {b: 1}\nc: *x") as Record<string, object>;
    expect(read.a).not.toBe(read.c);
  });

  test("documents are counted with the empty ones, which are skipped", () => {
    expect(parseYaml("---\n# nothing\n---\na: 1\n---\n\n---\nb: 2\n---\n---\n", "f")).toEqual([
      { value: { a: 1 }, document: 2, line: 4 },
      { value: { b: 2 }, document: 4, line: 8 },
    ]);
  });
});

describe("what is wrong is named with file, document and line", () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefghi"]
    .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${"abcdefgh"[i]}`).join(",")}]`)
    .join("\n")}`;
  test.each([
    ["", "f.yaml: holds no manifest"],
    ["# only a comment\n", "f.yaml: holds no manifest"],
    ["just text", "f.yaml, line 1: is a string, not an object"],
    ["- a\n", "f.yaml, line 1: is a list, not an object"],
    [`${pod("a")}---\n\n42\n`, "f.yaml, document 2, line 6: is a number, not an object"],
    ["metadata: {}", "f.yaml, line 1: has no apiVersion"],
    ["apiVersion: v1\nkind:", "f.yaml, line 1: has no kind"],
    ["apiVersion: 1\nkind: Pod", "f.yaml, line 1: apiVersion is a number, not a string"],
    ["apiVersion: v1\nkind: Pod\nmetadata: x", "metadata is a string, not an object"],
    ["apiVersion: v2\nkind: Pod", 'Pod has apiVersion: v1, not "v2"'],
    ["apiVersion: v1\nkind: pod", 'did you mean "Pod"?'],
    ["apiVersion: batch/v1\nkind: Job", "kind Job needs a controller"],
    ["apiVersion: v1\nkind: Gadget", "it takes Namespace, ConfigMap"],
    [
      `${pod("a")}---\nkind: List\napiVersion: v1\nitems: [{kind: Pod}]`,
      "f.yaml, document 2, line 5, item 1: has no apiVersion",
    ],
    ["kind: List\napiVersion: v1\nitems: []", "holds only empty lists"],
    ["a: 1\nb: 2\na: 3", "f.yaml, line 3: a key stands twice"],
    ["a:\n\tb: 1", "f.yaml, line 2: a tab is used for indentation"],
    ["a: [1,\nb: {", "not valid YAML"],
    [`a: 1\n---\nx: "`, "f.yaml, document 2, line 3: not valid YAML: missing closing"],
    ["a: 1\0", "f.yaml, line 1: holds a control character (\\x00)"],
    ["a: &x {b: *x}", "refers to the map or list that it stands in"],
    ["a: *nowhere", "nowhere"],
    [bomb, "would explode"],
    ["a: .nan", "a: NaN is no number"],
    ["a: 9007199254740993", "too large to be kept exactly"],
    ['a: "\\ud800"', "half of a surrogate pair"],
    ["? [a]\n: b", "can't be the key"],
  ])("%j", (text, expected) => {
    const read = () => parseManifests(text, "f.yaml");
    expect(read).toThrow(HostletError);
    expect(read).toThrow(expected);
  });
});

test("a document that is nested too deeply is an error, not the end of the stack", () => {
  expect(() => parseManifests("[".repeat(50_000), "f.yaml")).toThrow(HostletError);
  expect(() => parseManifests(`${"[".repeat(5_000)}${"]".repeat(5_000)}`, "f.yaml")).toThrow(HostletError);
});

describe("fuzzing", () => {
  const onlyManifestInvalid = (text: string) => {
    try {
      parseManifests(text, "f.yaml");
    } catch (error) {
      expect(error).toBeInstanceOf(HostletError);
      expect((error as HostletError).code).toBe("ManifestInvalid");
    }
  };
  const snippets = [
    "apiVersion: v1\n",
    "kind: Pod\n",
    "---\n",
    "- ",
    "? ",
    ": ",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "!!int x\n",
  ];
  const pieces = fc.oneof(
    fc.constantFrom(
      ...snippets,
      "|\n",
      ">-\n",
      "{",
      "}",
      "[",
      "]",
      '"',
      "'",
      "  ",
      "\t",
      "\n",
      "%YAML 1.2\n",
      "#",
      "!!set ",
      "0644",
      "1:30",
    ),
    fc.string(),
  );

  test("no text throws anything but ManifestInvalid", () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => onlyManifestInvalid(parts.join(""))),
      { numRuns: 2000 },
    );
  });

  test("no structure throws anything but ManifestInvalid", () => {
    const field = fc.oneof(fc.jsonValue(), fc.constantFrom("Pod", "List", "v1", "Job", null));
    const object = fc.record(
      { apiVersion: field, kind: field, metadata: field, items: fc.oneof(field, fc.array(field)) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(object, (o) => onlyManifestInvalid(JSON.stringify(o))),
      { numRuns: 1000 },
    );
  });

  test("JSON comes out as it went in", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (json) => {
        const text = JSON.stringify({ v: json });
        fc.pre(!holdsUnsafeInteger(json)); // refused, as it would not come out as it went in
        fc.pre(!/\p{Surrogate}/u.test(text) && !/[eE][+-]?\d|\x7f/.test(text));
        expect(value(text)).toEqual(JSON.parse(text));
      }),
    );
  });
});

function holdsUnsafeInteger(json: unknown): boolean {
  if (typeof json === "number") return Number.isInteger(json) && !Number.isSafeInteger(json);
  return typeof json === "object" && json !== null && Object.values(json).some(holdsUnsafeInteger);
}

describe("inputs", () => {
  let dir: string;
  const stdin = async function* () {
    yield Buffer.from(pod("from-stdin"));
  };
  const read = (inputs: string[], recursive = false) => readManifests(inputs, { stdin: stdin(), recursive });
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "hostlet-manifest-"));
  });
  afterEach(() => rm(dir, { recursive: true }));

  test("files, standard input and directories in the order given, a directory's files in name order", async () => {
    await mkdir(join(dir, "d/below"), { recursive: true });
    await writeFile(join(dir, "d/b.yml"), pod("b"));
    await writeFile(join(dir, "d/a.yaml"), pod("a"));
    await writeFile(
      join(dir, "d/c.json"),
      '{"kind":"List","apiVersion":"v1","items":[{"kind":"Pod","apiVersion":"v1","metadata":{"name":"c"}}]}',
    );
    await writeFile(join(dir, "d/notes.txt"), "no manifest");
    await writeFile(join(dir, "d/below/z.yaml"), pod("z"));
    await writeFile(join(dir, "one.yaml"), pod("one"));
    expect(names(await read([join(dir, "one.yaml"), "-", join(dir, "d")]))).toEqual([
      "one",
      "from-stdin",
      "a",
      "b",
      "c",
    ]);
    expect(names(await read([join(dir, "d")], true))).toEqual(["a", "b", "z", "c"]);
  });

  test.each([
    ["a file that isn't there", "absent.yaml", "absent.yaml: no such file or directory"],
    ["a directory without manifests", ".", "no *.yaml, *.yml or *.json in this directory; -R"],
    ["a file that is no UTF-8", "latin1.yaml", "latin1.yaml: is no text in UTF-8"],
  ])("%s is named", async (_, name, expected) => {
    if (name === "latin1.yaml") await writeFile(join(dir, name), Buffer.from([0x61, 0x3a, 0x20, 0xe9]));
    await expect(read([join(dir, name)])).rejects.toThrow(expected);
  });

  test("standard input can be named once", async () => {
    await expect(read(["-", "-"])).rejects.toThrow("only be read once");
  });

  test("a file without end is refused", async () => {
    await expect(read(["/dev/zero"])).rejects.toThrow("longer than 64 MiB");
  });
});
