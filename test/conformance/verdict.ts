import { readFileSync } from "node:fs";
import type { SpecResult } from "./junit.ts";

export interface ExpectedSpec {
  name: string;
  passes: boolean;
  /** In one line, why one can't pass, or does not yet. */
  why?: string;
}

export interface Verdict {
  passed: number;
  failed: number;
  /** In the list, and not run. */
  skipped: number;
  /** Passed once, and didn't pass now; also one that left no result. */
  regressions: string[];
  /** Pass, and nobody knew. */
  news: string[];
}

export function readExpected(file: string): ExpectedSpec[] {
  return JSON.parse(readFileSync(file, "utf8")) as ExpectedSpec[];
}

/** @param chosen names of the specs that were to run */
export function compare(expected: ExpectedSpec[], chosen: string[], results: SpecResult[]): Verdict {
  const outcomes = new Map(results.map(({ name, outcome }) => [name, outcome]));
  const passed = chosen.filter((name) => outcomes.get(name) === "passed");
  const run = expected.filter(({ name }) => chosen.includes(name));
  return {
    passed: passed.length,
    failed: chosen.length - passed.length,
    skipped: expected.length - chosen.length,
    regressions: run.filter(({ name, passes }) => passes && !passed.includes(name)).map(({ name }) => name),
    news: run.filter(({ name, passes }) => !passes && passed.includes(name)).map(({ name }) => name),
  };
}
