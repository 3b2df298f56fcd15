import { HostletError } from "../../errors.ts";
import type { RunSlurm } from "./commands.ts";
import { sentence } from "./refusals.ts";

/** Node name, CPUs, memory in MiB, generic resources, state. */
export const sinfoFormat = "%n|%c|%m|%G|%T";

const gpuResource: Record<string, string> = { nvidia: "nvidia.com/gpu", amd: "amd.com/gpu" };

/** Of the types that Slurm's own detection gives to AMD's. */
const amd = /^(amd|mi\d|gfx|radeon|instinct)/i;

/**
 * What the nodes of `sinfo --Node` have together, each counted once. Nodes that can't run jobs now don't count: down, drained,
 * powered off for good, in maintenance.
 */
export function capacityOf(text: string): Record<string, string> {
  const seen = new Set<string>();
  let cpus = 0;
  let mebibytes = 0;
  const gpus: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const [name = "", cpu, memory, gres = "", state = ""] = line.split("|");
    if (name === "" || seen.has(name) || isAway(state)) continue;
    seen.add(name);
    cpus += Number(cpu) || 0;
    mebibytes += Number(memory) || 0;
    for (const { resource, count } of gpusOf(gres)) gpus[resource] = (gpus[resource] ?? 0) + count;
  }
  return {
    cpu: String(cpus),
    memory: `${mebibytes}Mi`,
    ...Object.fromEntries(Object.entries(gpus).map(([resource, count]) => [resource, String(count)])),
  };
}

/** `idle*`: does not answer; `down`, `drained`, `draining`, `fail`, `maint`, `unknown`. */
function isAway(state: string): boolean {
  return /^(down|drain|fail|maint|unknown|future|inval|power(ed|ing)_down)/i.test(state) || state.endsWith("*");
}

/** `gpu:a100:4(S:0-1),gpu:2,license:3` */
function gpusOf(gres: string): { resource: string; count: number }[] {
  return gres.split(",").flatMap((one) => {
    const match = /^gpu(?::([A-Za-z0-9_.-]+))?:(\d+)(?:\(.*)?$/.exec(one.trim());
    if (!match) return [];
    const maker = amd.test(match[1] ?? "") ? "amd" : "nvidia";
    return [{ resource: gpuResource[maker]!, count: Number(match[2]) }];
  });
}

/** @throws {HostletError} NotFound where Slurm does not answer */
export async function readCapacity(
  run: RunSlurm,
  partition: string | undefined,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const only = partition === undefined ? [] : [`--partition=${partition}`];
  const args = ["--noheader", "--Node", `--format=${sinfoFormat}`, ...only];
  const { code, stdout, stderr } = await run("sinfo", args, { signal });
  if (code !== 0) throw new HostletError("NotFound", `sinfo: ${sentence(stderr)}`);
  return capacityOf(stdout);
}
