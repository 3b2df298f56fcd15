import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { cycles, offences, specifiers } from "./check-imports.mjs";

describe("what a source text imports", () => {
  const table: [name: string, text: string, found: string[]][] = [
    ["a plain import", `import { a } from "./a.ts";`, ["./a.ts"]],
    ["an import for its effect", `import "./a.ts";`, ["./a.ts"]],
    ["a type-only import", `import type { A } from "./a.ts";`, ["./a.ts"]],
    ["an import over several lines", `import {\n  a,\n  type B,\n} from "./a.ts";`, ["./a.ts"]],
    ["a re-export", `export * from "./a.ts";\nexport { b } from "./b.ts";`, ["./a.ts", "./b.ts"]],
    ["a lazy import", `const { a } = await import("./a.ts");`, ["./a.ts"]],
    ["the type of an import", `let a: typeof import("./a.ts");`, ["./a.ts"]],
    ["JSON with an attribute", `import a from "./a.json" with { type: "json" };`, ["./a.json"]],
    ["exports that import nothing", `export const from = "./a.ts";\nexport function f() {\n  return "x";\n}`, []],
    ["what is commented out", `// import "./a.ts";\n/* import "./b.ts"; */\n/**\n * import("./c.ts")\n */`, []],
    ["an import behind a comment with a URL", `const u = "http://x";\nimport "./a.ts";`, ["./a.ts"]],
  ];
  test.each(table)("%s", (_name, text, found) => {
    expect(specifiers(text)).toEqual(found);
  });
});

describe("cycles of a graph", () => {
  const graph = (edges: Record<string, string[]>) => new Map(Object.entries(edges));

  test("a diamond is none", () => {
    expect(cycles(graph({ a: ["b", "c"], b: ["d"], c: ["d"], d: [] }))).toEqual([]);
  });
  test("a file that imports itself is one", () => {
    expect(cycles(graph({ a: ["a"] }))).toEqual([["a", "a"]]);
  });
  test("one behind a chain is found, and given without the chain", () => {
    expect(cycles(graph({ a: ["b"], b: ["c"], c: ["d"], d: ["b"] }))).toEqual([["b", "c", "d", "b"]]);
  });
});

describe("a tree of sources", () => {
  let dir = "";
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  function tree(files: Record<string, string>): string[] {
    dir = mkdtempSync(join(tmpdir(), "hostlet-imports-"));
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, file)), { recursive: true });
      writeFileSync(join(dir, file), text);
    }
    return offences(dir);
  }

  test("downwards is right, also to a neighbour", () => {
    expect(
      tree({
        "cli/main.ts": `import "../node/agent.ts";`,
        "node/agent.ts": `import "../server/server.ts";\nimport "../errors.ts";`,
        "server/server.ts": "",
        "errors.ts": "",
      }),
    ).toEqual([]);
  });
  test("upwards is an offence, for a type, too", () => {
    expect(tree({ "kube/client.ts": `import type { A } from "../node/agent.ts";`, "node/agent.ts": "" })).toEqual([
      "kube/client.ts -> node/agent.ts: kube stands below node",
    ]);
  });
  test("the embedded control plane knows nothing of the node", () => {
    expect(tree({ "devcluster/a.ts": `import "../server/b.ts";`, "server/b.ts": "" })).toEqual([
      "devcluster/a.ts -> server/b.ts: devcluster may import only config, kube, telemetry, pki, errors.ts, clock.ts",
    ]);
  });
  test("a layer without a place is an offence", () => {
    expect(tree({ "util/a.ts": `import "../errors.ts";`, "errors.ts": "" })).toEqual([
      "util/a.ts: util has no place in the order of layers",
    ]);
  });
  test("two layers that need each other are one, though no files are", () => {
    expect(
      tree({
        "node/a.ts": `import "../server/a.ts";`,
        "node/b.ts": "",
        "server/a.ts": "",
        "server/b.ts": `import "../node/b.ts";`,
      }),
    ).toEqual(["cycle of layers: node -> server -> node"]);
  });
  test("the whole chain of a cycle of files is given", () => {
    expect(tree({ "kube/a.ts": `import "./b.ts";`, "kube/b.ts": `import "./a.ts";` })).toEqual([
      "cycle: kube/a.ts -> kube/b.ts -> kube/a.ts",
    ]);
  });
  test("tests and generated files may import what they like", () => {
    expect(
      tree({ "kube/a.test.ts": `import "../cli/a.ts";`, "kube/a.gen.ts": `import "../cli/a.ts";`, "cli/a.ts": "" }),
    ).toEqual([]);
  });
  test("what helps tests may import what it likes, and is for tests alone", () => {
    expect(
      tree({
        "kube/a.ts": `import "../testing/c.ts";`,
        "kube/testing/b.ts": `import "../../cli/a.ts";`,
        "cli/a.ts": "",
        "testing/c.ts": "",
      }),
    ).toEqual(["kube/a.ts -> testing/c.ts: is for tests alone"]);
  });
  test("an import of nothing is an offence", () => {
    expect(tree({ "kube/a.ts": `import "./b.ts";` })).toEqual(["kube/a.ts -> kube/b.ts: no such file"]);
  });
});
