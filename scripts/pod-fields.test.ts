import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "./bundle.mjs";
import { fieldsOf, offences, testText, types } from "./pod-fields.mjs";

const page = readFileSync(join(root, "docs/reference/pod-fields.md"), "utf8");

test("the page has every field of the API, and every yes in it names a test that has the field", () => {
  expect(offences(page)).toEqual([]);
});

describe("an offence is", () => {
  const row = /^\| `activeDeadlineSeconds` .*$/m;
  const without = (text: string) => offences(page.replace(row, text)).join("\n");

  test("a field without a row, with two, and a row without a field", () => {
    expect(without("")).toContain("PodSpec.activeDeadlineSeconds: has no row");
    const [line] = row.exec(page)!;
    expect(without(`${line}\n${line}`)).toContain("PodSpec.activeDeadlineSeconds: has several rows");
    expect(without(line.replace("activeDeadlineSeconds", "deadline"))).toContain(
      "PodSpec.deadline: there is no such field",
    );
  });

  test.each([
    ["yes | core | core | |", "names no test"],
    ["yes[^none] | core | core | |", "there is no such footnote"],
    ["maybe | core | core | |", 'says "maybe"'],
    ["no | core | |", "cells"],
  ])("a row with %s: %s", (cells, problem) => {
    expect(without(`| \`activeDeadlineSeconds\` | ${cells}`)).toContain(problem);
  });

  test("a test that is not there any more, and one that does not set the field", () => {
    const files = (text: string) => () => text;
    expect(offences(page, files("")).join("\n")).toContain('has no test "');
    const note = /^\[\^1\]: `[^`]+`: (.*)$/m.exec(page)![1]!;
    const empty = `test(${JSON.stringify(note)}, () => {\n});\n`;
    expect(offences(page, files(empty)).join("\n")).toContain(`the test "${note}" does not say activeDeadlineSeconds`);
  });
});

test("a test's text ends with it", () => {
  const source = [
    'describe("d", () => {',
    '  test("one", () => {',
    "    a;",
    "  });",
    "  test(",
    '    "two",',
    "    () => b,",
    "  );",
    "  const table = {",
    '    "three": [c],',
    '    "four": [',
    "      d,",
    "    ],",
    "  };",
    "});",
  ].join("\n");
  expect(testText(source, "one")).toBe('  test("one", () => {\n    a;\n  });');
  expect(testText(source, "two")).toContain("() => b,\n  );");
  expect(testText(source, "three")).toBe('    "three": [c],');
  expect(testText(source, "four")).toBe('    "four": [\n      d,\n    ],');
  expect(testText(source, "five")).toBeUndefined();
});

test("the types of the page are the API's", () => {
  for (const type of types) expect(fieldsOf(type).length, type).toBeGreaterThan(0);
});
