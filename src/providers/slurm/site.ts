import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { NodeConfig } from "../../config/nodeConfig.ts";
import { HostletError } from "../../errors.ts";
import { type SlurmPaths, standardPaths } from "./commands.ts";

/** A kind of job, as interLink's SlurmConfig.yaml has it. */
export interface Flavor {
  Name?: string;
  Description?: string;
  CPUDefault?: number;
  MemoryDefault?: string | number;
  SlurmFlags?: string[];
}

/** What is the same for all jobs of a node. */
export interface SlurmSite {
  paths: SlurmPaths;
  bash: string;
  /** Options of sbatch, before those of flavor and pod. */
  flags: string[];
  partition: string | undefined;
  flavors: Record<string, Flavor>;
  defaultFlavor: string | undefined;
  /** Options of sbatch for a pod's priority class. */
  priorityClasses: Record<string, string[]>;
  /** Shell lines of the site, before each pod. */
  commandPrefix: string | undefined;
  /** Keys of SlurmConfig.yaml that have no meaning here. */
  ignored: string[];
}

/** Keys of interLink's SlurmConfig.yaml that mean here what they mean there. */
interface SlurmConfigFile {
  SbatchPath?: string;
  ScancelPath?: string;
  SqueuePath?: string;
  SinfoPath?: string;
  BashPath?: string;
  CommandPrefix?: string;
  Flavors?: Record<string, Flavor>;
  DefaultFlavor?: string;
}

const known = new Set([
  ...["SbatchPath", "ScancelPath", "SqueuePath", "SinfoPath", "BashPath", "CommandPrefix", "Flavors", "DefaultFlavor"],
]);

/**
 * The node's configuration and, where it names one, interLink's SlurmConfig.yaml.
 * @throws {HostletError} ConfigInvalid
 */
export function slurmSite(config: NodeConfig): SlurmSite {
  const { file, ignored } = config.slurmConfig === undefined ? { file: {}, ignored: [] } : readFile(config.slurmConfig);
  const flavors = file.Flavors ?? {};
  const defaultFlavor = config.slurmFlavor ?? file.DefaultFlavor;
  if (defaultFlavor !== undefined && !flavors[defaultFlavor]) {
    throw new HostletError(
      "ConfigInvalid",
      `slurmFlavor: ${JSON.stringify(defaultFlavor)} is not among the Flavors of ${config.slurmConfig ?? "slurmConfig, which is not set"}`,
    );
  }
  return {
    paths: {
      ...standardPaths,
      ...(file.SbatchPath && { sbatch: file.SbatchPath }),
      ...(file.ScancelPath && { scancel: file.ScancelPath }),
      ...(file.SqueuePath && { squeue: file.SqueuePath }),
      ...(file.SinfoPath && { sinfo: file.SinfoPath }),
    },
    bash: file.BashPath || "/bin/bash",
    flags: config.slurmFlags,
    partition: config.slurmPartition,
    flavors,
    defaultFlavor,
    priorityClasses: config.slurmPriorityClasses,
    commandPrefix: file.CommandPrefix || undefined,
    ignored,
  };
}

function readFile(path: string): { file: SlurmConfigFile; ignored: string[] } {
  try {
    const value: unknown = parse(readFileSync(path, "utf8"));
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new Error("it must hold keys and values");
    const file = value as SlurmConfigFile;
    for (const [name, { SlurmFlags }] of Object.entries(file.Flavors ?? {})) {
      if (SlurmFlags !== undefined && !Array.isArray(SlurmFlags))
        throw new Error(`Flavors.${name}.SlurmFlags must be a list`);
    }
    return { file, ignored: Object.keys(value).filter((key) => !known.has(key)) };
  } catch (cause) {
    throw new HostletError("ConfigInvalid", `slurmConfig: ${path}: ${(cause as Error).message}`, { cause });
  }
}
