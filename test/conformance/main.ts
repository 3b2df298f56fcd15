import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { RealControlPlane } from "../integration/support/realControlPlane.ts";
import { makeImages } from "./images.ts";
import { parseReport, type SpecResult } from "./junit.ts";
import { startNode } from "./node.ts";
import { compare, learned, page, readExpected, type Verdict } from "./verdict.ts";

const version = "1.20.2";
/** Ones that wait for minutes by their nature, or for quarter of an hour where gcr.io can't be reached. */
const slow = /\[Slow\]|pull from private registry with secret/;

/**
 * Runs the specs that Kubernetes 1.20 marks [NodeConformance] against a sandbox node under a real control plane, in shards side by side.
 * @returns exit code: 0 where no spec fails that is known to pass
 */
export async function main(argv: string[], { root, hostlet }: { root: string; hostlet: string }): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      focus: { type: "string" },
      shards: { type: "string", default: "8" },
      slow: { type: "boolean", default: false },
      /** Writes down what the run has shown. */
      write: { type: "boolean", default: false },
      "keep-logs": { type: "string" },
      isolation: { type: "string", default: "sandbox" },
    },
  });
  const list = join(root, "test/conformance/specs.json");
  const expected = readExpected(list);
  const specs = expected
    .map(({ name }) => name)
    .filter((name) => (values.slow || !slow.test(name)) && (!values.focus || new RegExp(values.focus).test(name)));
  const programs = output(join(root, "scripts/conformance/get.sh"), [version]);
  const controlPlane = output(join(root, "scripts/control-plane/get.sh"), [version]);
  const dir = mkdtempSync(join(tmpdir(), "hostlet-conformance-"));
  const logs = values["keep-logs"] ?? join(dir, "logs");
  mkdirSync(logs, { recursive: true });
  const images = makeImages(join(homedir(), ".cache/hostlet/conformance/images"), programs);
  const plane = await RealControlPlane.start({
    version,
    programs: controlPlane,
    keepLogs: join(logs, "control-plane"),
  });
  const begun = Date.now();
  try {
    const node = await startNode({
      plane,
      hostlet,
      dir,
      images,
      isolation: values.isolation,
      logFile: join(logs, "node.log"),
    });
    try {
      const shards = split(specs, Number(values.shards));
      const e2e = { program: join(programs, "e2e.test"), kubeconfig: node.adminKubeconfig, logs };
      const results = (await Promise.all(shards.map((names, index) => runShard(e2e, names, index)))).flat();
      if (values.write) {
        const now = learned(expected, results);
        writeFileSync(list, `${JSON.stringify(now, undefined, 2)}\n`);
        writeFileSync(join(root, "docs/reference/conformance.md"), page(now));
      }
      return report(compare(expected, specs, results), results, (Date.now() - begun) / 1000, logs);
    } finally {
      await node.stop();
    }
  } finally {
    await plane.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

function output(program: string, args: string[]): string {
  return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim();
}

/** In turns: neighbours in the list are alike, and take alike. */
function split(names: string[], count: number): string[][] {
  const shards = Array.from({ length: Math.min(count, names.length) }, (): string[] => []);
  for (const [index, name] of names.entries()) shards[index % shards.length]?.push(name);
  return shards;
}

async function runShard(
  e2e: { program: string; kubeconfig: string; logs: string },
  names: string[],
  index: number,
): Promise<SpecResult[]> {
  const focus = names.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const reports = join(e2e.logs, `shard-${index}`);
  mkdirSync(reports, { recursive: true });
  const log = openSync(join(e2e.logs, `shard-${index}.log`), "w");
  const args = [
    ...["--ginkgo.noColor", "--ginkgo.v", `--ginkgo.focus=(${focus})$`, "--ginkgo.seed=1"],
    ...["--provider=skeleton", `--kubeconfig=${e2e.kubeconfig}`, "--num-nodes=1", "--node-os-distro=debian"],
    ...[`--report-dir=${reports}`, "--dump-logs-on-failure=false"],
  ];
  const child = spawn(e2e.program, args, { stdio: ["ignore", log, log], cwd: reports });
  await once(child, "exit");
  closeSync(log);
  return parseReport(readFileSync(join(reports, "junit_01.xml"), "utf8"));
}

function report(verdict: Verdict, results: SpecResult[], seconds: number, logs: string): number {
  for (const { name, message } of results.filter(({ outcome }) => outcome === "failed")) {
    process.stdout.write(`FAILED ${name}\n    ${(message ?? "").trim().split("\n").slice(0, 12).join("\n    ")}\n`);
  }
  writeFileSync(join(logs, "results.json"), `${JSON.stringify(results, undefined, 2)}\n`);
  const { passed, failed, skipped, regressions, news } = verdict;
  for (const name of news) process.stdout.write(`passes now, write it down in test/conformance/specs.json: ${name}\n`);
  for (const name of regressions) process.stdout.write(`passed once, and may not fail: ${name}\n`);
  process.stdout.write(
    `conformance: ${passed} passed, ${failed} failed, ${skipped} skipped, in ${Math.round(seconds)} s\n`,
  );
  return regressions.length > 0 ? 1 : 0;
}
