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

/** The list with what a run has shown; a reason stays with a spec that goes on failing. */
export function learned(expected: ExpectedSpec[], results: SpecResult[]): ExpectedSpec[] {
  const outcomes = new Map(results.map(({ name, outcome }) => [name, outcome]));
  return expected.map((spec) => {
    const outcome = outcomes.get(spec.name);
    if (outcome === undefined) return spec;
    if (outcome === "passed") return { name: spec.name, passes: true };
    return { ...spec, passes: false };
  });
}

/** docs/reference/conformance.md */
export function page(specs: ExpectedSpec[]): string {
  const passing = specs.filter(({ passes }) => passes);
  const failing = specs.filter(({ passes }) => !passes);
  const plain = (name: string) =>
    name.replaceAll(/ ?\[(NodeConformance|Conformance|LinuxOnly|Slow)\]/g, "").replaceAll("|", "\\|");
  const lines = [
    "<!-- Made by: npm run test:conformance -- --write -->",
    "",
    "# Conformance",
    "",
    `Of the ${specs.length} specs that Kubernetes 1.20.2 marks \`[NodeConformance]\`, **${passing.length} pass** on a node with \`isolation: sandbox\` and`,
    "`podCIDR`, as root, under a real control plane of that version.",
    "",
    "    npm run test:conformance                         # all but those that wait for long",
    "    npm run test:conformance -- --focus 'EmptyDir'   # by name; --slow: those too; --keep-logs DIR; --shards N",
    "",
    "It builds the control plane, the suite (`e2e.test`) and agnhost from Debian 12's source package, once, in a quarter of an hour or more, makes root filesystems for the images that the specs name",
    "(busybox-static, agnhost with Debian's curl, nnp; nginx and httpd are stood in for by agnhost), and runs the specs in shards side by side, in a network namespace of their own. A spec that is",
    "listed as passing and fails makes the run fail (`test/conformance/specs.json`). It needs root, busybox-static, curl, iproute2. 142 specs took 7 minutes on two busy cores; it is not a part of CI.",
    "",
    "## Not passing",
    "",
    "| spec | why |",
    "| --- | --- |",
    ...failing.map(({ name, why = "not looked into yet" }) => `| ${plain(name)} | ${why} |`),
    "",
    "## Passing",
    "",
    ...passing.map(({ name }) => `- ${plain(name)}`),
    "",
  ];
  return lines.join("\n");
}
