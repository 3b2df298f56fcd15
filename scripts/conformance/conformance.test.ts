import { describe, expect, it } from "vitest";
import { parseReport } from "../../test/conformance/junit.ts";
import { compare, learned } from "../../test/conformance/verdict.ts";

const report = `<?xml version="1.0"?><testsuite tests="2">
  <testcase name="[a] not chosen" classname="x" time="0"><skipped></skipped></testcase>
  <testcase name="[a] it&#39;s &lt;fine&gt;" classname="x" time="2.5"></testcase>
  <testcase name="[a] broken" classname="x" time="1"><failure type="Failure">expected &#34;1&#34;&#xA;got 2</failure></testcase>
</testsuite>`;

describe("a report of the conformance suite", () => {
  const results = parseReport(report);
  it("has the specs that were run, with why they failed", () => {
    expect(results).toEqual([
      { name: "[a] it's <fine>", outcome: "passed", seconds: 2.5 },
      { name: "[a] broken", outcome: "failed", seconds: 1, message: 'expected "1"\ngot 2' },
    ]);
  });

  const expected = [
    { name: "[a] it's <fine>", passes: false, why: "old" },
    { name: "[a] broken", passes: true },
    { name: "[a] lost", passes: true },
    { name: "[a] not chosen", passes: false },
  ];
  it("is compared with what passed once; a spec without a result did not pass", () => {
    const chosen = expected.slice(0, 3).map(({ name }) => name);
    expect(compare(expected, chosen, results)).toEqual({
      ...{ passed: 1, failed: 2, skipped: 1 },
      ...{ regressions: ["[a] broken", "[a] lost"], news: ["[a] it's <fine>"] },
    });
  });
  it("is written down", () => {
    expect(learned(expected, results)).toEqual([
      { name: "[a] it's <fine>", passes: true },
      { name: "[a] broken", passes: false },
      ...expected.slice(2),
    ]);
  });
});
