import { describe, expect, test } from "vitest";
import type { Probe } from "../../kube/types.ts";
import { judge, type ProbeRun, type ProbeVerdict } from "./judge.ts";

/** `+` a success, `-` a failure; what each comes to, `.` for nothing yet. */
function verdicts(results: string, probe: Probe = {}): string {
  let run: ProbeRun = { count: 0 };
  return [...results]
    .map((sign) => {
      const result: ProbeVerdict = sign === "+" ? "success" : "failure";
      const judged = judge(run, result, probe);
      run = judged.run;
      return judged.verdict === undefined ? "." : judged.verdict === "success" ? "+" : "-";
    })
    .join("");
}

describe("a probe's verdict", () => {
  const table: Record<string, [results: string, probe: Probe, expected: string]> = {
    "one success is enough, and three failures in a row are needed": ["+--+---", {}, "+..+..-"],
    "a failure in between starts the count anew": ["--+--", { failureThreshold: 3 }, "..+.."],
    "failureThreshold 1 takes the first failure": ["-", { failureThreshold: 1 }, "-"],
    "successThreshold counts successes in a row": ["++-+++", { successThreshold: 3 }, ".....+"],
    "thresholds that no API server would take are those that it fills in": [
      "+---",
      { successThreshold: 0, failureThreshold: -1 },
      "+..-",
    ],
    "a verdict is given again as long as it holds": ["----", { failureThreshold: 2 }, ".---"],
  };
  test.each(Object.entries(table))("%s", (_name, [results, probe, expected]) => {
    expect(verdicts(results, probe)).toBe(expected);
  });
});
