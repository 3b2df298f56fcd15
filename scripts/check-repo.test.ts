import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { deadLinks, dependencyOffences, ofThisMachine, orphans, tooLong } from "./check-repo.mjs";

test("a source file above 600 lines is too long, a generated one or a page is not", () => {
  const text = "x\n".repeat(601);
  expect(tooLong("src/kube/a.ts", text)).toEqual(["src/kube/a.ts: 601 lines; at most 600"]);
  expect(tooLong("src/kube/a.ts", "x\n".repeat(600))).toEqual([]);
  expect(tooLong("src/kube/a.gen.ts", text)).toEqual([]);
  expect(tooLong("docs/a.md", text)).toEqual([]);
});

test("a path of this machine is found, with its line", () => {
  expect(ofThisMachine("a.ts", "one\nsee /users/jo/x", ["/users/jo/"])).toEqual([
    "a.ts:2: names /users/jo/, which is a path of this machine",
  ]);
  expect(ofThisMachine("a.ts", "see /users/jim", ["/users/jo/"])).toEqual([]);
});

describe("links of a page", () => {
  function links(text: string): string[] {
    const dir = mkdtempSync(join(tmpdir(), "hostlet-links-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    writeFileSync(join(dir, "other.md"), "# One `two` three!\n");
    writeFileSync(join(dir, "page.md"), text);
    return deadLinks(dir, "page.md", text);
  }
  const table: [name: string, text: string, found: string[]][] = [
    ["to a page that exists", "[a](other.md)", []],
    ["to a heading that exists", "[a](other.md#one-two-three)", []],
    ["to a heading of the page itself", "# Here\n[a](#here)", []],
    ["to the web", "[a](https://example.org/nothing)", []],
    ["inside of code", "`[a](no.md)`\n```\n[a](no.md)\n```\n", []],
    ["to nothing", "[a](no.md)", ["page.md: link no.md leads nowhere"]],
    ["to no heading", "[a](other.md#four)", ["page.md: link other.md#four: no heading gives #four"]],
    ["out of the repository", "[a](../x.md)", ["page.md: link ../x.md leaves the repository"]],
  ];
  test.each(table)("%s", (_name, text, found) => {
    expect(links(text)).toEqual(found);
  });
});

test("a page of the documentation that no other leads to is found", () => {
  const pages = new Map([
    ["README.md", "[docs](docs/README.md#top)"],
    ["docs/README.md", "[a](guides/a.md)"],
    ["docs/guides/a.md", "[up](../README.md)"],
    ["docs/guides/b.md", ""],
  ]);
  expect(orphans(pages)).toEqual([
    "docs/guides/b.md: no page links to it; docs/README.md or docs/decisions/0001 should",
  ]);
});

describe("dependencies", () => {
  const lock = { packages: { "node_modules/a": {} } };
  test("one with an exact version and a line is right", () => {
    expect(dependencyOffences({ dependencies: { a: "1.2.3" } }, lock, "| `a` | 1.2.3 | why |")).toEqual([]);
  });
  test("a range, a line of another version and an install script are offences", () => {
    const scripted = { packages: { "node_modules/a": { hasInstallScript: true } } };
    expect(dependencyOffences({ devDependencies: { a: "^1.2.3" } }, scripted, "| `a` | 1.2.2 |")).toEqual([
      "package.json: a ^1.2.3 is no exact version",
      "docs/decisions/dependencies.md: no line for a ^1.2.3",
      "package-lock.json: node_modules/a has an install script",
    ]);
  });
});
