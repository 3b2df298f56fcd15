import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runtimeSkips } from "./conformanceSkips.ts";

test("docs/reference/runtimes.md has the same table: a new skip is one that its readers see", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/reference/runtimes.md"), "utf8");
  const [, section = ""] = page.split("## Skipped cases\n");
  const rows = [...section.matchAll(/^\| `([^`]+)` \| (.+) \| (.+) \|$/gm)].map((row) => row.slice(1));
  const expected = Object.entries(runtimeSkips).flatMap(([runtime, skips]) =>
    Object.entries(skips).map(([name, reason]) => [runtime, name, reason]),
  );
  expect(rows).toEqual(expected);
});
