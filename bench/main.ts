import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { away } from "./away.ts";
import { realVersion } from "./controlPlane.ts";
import { fileSystemOf, newDirectory } from "./fileSystem.ts";
import { interlink } from "./interlink.ts";
import { lives, recovery } from "./lives.ts";
import { describe, machine } from "./machine.ts";
import { metrics } from "./metrics.ts";
import { probes } from "./probes.ts";
import { figuresTable, markdown, misses, plain, type Run, requestsTable } from "./report.ts";
import { requests } from "./requests.ts";
import { runOn } from "./runOn.ts";
import { floors, latency, memoryUse, startUp, throughput } from "./scenarios.ts";
import { slurm } from "./slurm.ts";
import { missed, withRatios } from "./statistics.ts";
import { streams } from "./streams.ts";
import { virtualNodes } from "./virtualNodes.ts";

const scenarios = {
  floors,
  start: startUp,
  latency,
  throughput,
  memory: memoryUse,
  metrics,
  lives,
  recovery,
  probes,
  streams,
  requests,
  away,
  interlink,
  nodes: virtualNodes,
  slurm,
};

/** Which floor of the same run a figure stands beside. */
const floorOf = {
  "bound to Running, p50": "spawn of true to its exit, p50",
  "exit to terminal phase, p50": "status PATCH, p50",
  "CPU a short pod, all": "CPU of a spawn of true",
};

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", default: Object.keys(scenarios).join(",") },
    "control-plane": { type: "string" },
    dir: { type: "string" },
    markdown: { type: "boolean", default: false },
    json: { type: "string" },
    "agent-flags": { type: "string", default: "" },
  },
});
const chosen = options.only.split(",").map((name) => {
  const scenario = scenarios[name as keyof typeof scenarios];
  if (!scenario) throw new Error(`--only ${name}: there is ${Object.keys(scenarios).join(", ")}`);
  return { name, scenario };
});
const controlPlanes = (options["control-plane"] ?? (options.markdown ? "embedded,real:1.34.2" : "embedded")).split(",");
for (const kind of controlPlanes) realVersion(kind);
// As bin/hostlet.js starts Node.
const agentFlags = ["--max-semi-space-size=1", ...options["agent-flags"].split(" ").filter((flag) => flag !== "")];

const here = machine();
const startedAt = new Date().toISOString();
const runs: Run[] = [];
const directory = newDirectory(options.dir);
const fileSystem = fileSystemOf(directory);
const place = `${fileSystem.type} at ${fileSystem.mountedAt}, ${fileSystem.freeGiB} GiB free`;
console.log(`machine: ${describe(here)}\nfile system: ${place}`);
if (here.load[0] && here.load[0] > 0.5) console.log("The machine is busy with something else: expect worse figures.");
try {
  for (const controlPlane of controlPlanes) {
    console.log(`on ${controlPlane} ...`);
    const own = join(directory, controlPlane.replace(":", "-"));
    mkdirSync(own);
    const figures = await runOn(controlPlane, { directory: own, quick: options.quick, agentFlags }, chosen);
    runs.push({ controlPlane, figures: withRatios(figures, floorOf) });
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
const after = machine();

const layout = options.markdown ? markdown : plain;
if (options.markdown) {
  const shortened = options.quick ? "; shortened by `--quick`" : "";
  console.log(`\n${startedAt.slice(0, 16).replace("T", " ")} UTC${shortened}. ${describe(here)}. State on ${place}.`);
}
console.log(`\n${figuresTable(runs, layout)}`);
for (const run of runs) {
  const table = requestsTable(run, layout);
  if (table) console.log(`\nThe agent's requests on ${run.controlPlane}:\n\n${table}`);
}
const missedAims = misses(runs);
console.log(missedAims.length === 0 ? "\nNo figure misses its aim." : "\nAims that are missed:\n");
for (const line of missedAims) console.log(`- ${line}`);

const file = options.json ?? join(".bench", "results", `${startedAt.replaceAll(":", "")}.json`);
mkdirSync(dirname(file), { recursive: true });
const marked = runs.map(({ controlPlane, figures }) => ({
  controlPlane,
  figures: figures.map((figure) => ({ ...figure, ...(figure.aim && { missed: missed(figure) }) })),
}));
const report = { startedAt, quick: options.quick, machine: here, loadAfter: after.load, fileSystem, runs: marked };
writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
console.log(`\nload afterwards: ${after.load.join(" ")}; written to ${file}`);
