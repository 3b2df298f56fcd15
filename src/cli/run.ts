import { existsSync, readlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import { parseDuration } from "../config/units.ts";
import { HostletError } from "../errors.ts";
import type { Pod } from "../kube/types.ts";
import { PodFiles } from "../kubelet/podFiles.ts";
import type { Manifest } from "../manifest/read.ts";
import type { Agent } from "../node/agent.ts";
import { createLogger } from "../telemetry/log.ts";
import { applyAll } from "./apply.ts";
import { type Io, Notes } from "./console.ts";
import { emptied } from "./endPods.ts";
import { type Interrupt, Interrupted, onInterrupt } from "./interrupt.ts";
import { loadLocalConfig, type NodeFlags, parsePort } from "./nodeFlags.ts";
import { openRunDir, type RunDir } from "./runDir.ts";
import type { RunPods } from "./runPods.ts";
import { openSession, type Session } from "./session.ts";

export interface RunFlags extends NodeFlags {
  keep?: boolean;
  quiet?: boolean;
  recursive?: boolean;
  /** A duration. */
  timeout?: string;
}

/**
 * `hostlet run`: a control plane and a node for the pods of some manifests, from their start to their end.
 * @returns what to exit with
 * @throws {HostletError}
 */
export async function run(inputs: string[], flags: RunFlags, io: Io): Promise<number> {
  const clock = systemClock;
  const notes = new Notes(io.stderr, flags.quiet ?? false);
  const port = parsePort(flags.port);
  const interrupt = onInterrupt(io, clock, parseTimeout(flags.timeout));
  try {
    if (inputs.length === 0) {
      throw new HostletError("ConfigInvalid", "no manifest: name files or directories, or - for standard input");
    }
    const { readManifests } = await import("../manifest/read.ts");
    const [config, manifests] = await Promise.all([
      loadLocalConfig(flags, io, "run"),
      readManifests(inputs, { stdin: io.stdin, recursive: flags.recursive ?? false }),
    ]);
    interrupt.first.throwIfAborted();
    return await runIn(
      await openRunDir(config.stateDir),
      { config, manifests, port, keep: flags.keep ?? false },
      { clock, notes, io, interrupt },
    );
  } catch (error) {
    if (error instanceof Interrupted) return error.exitCode;
    throw error;
  } finally {
    interrupt.dispose();
  }
}

interface Work {
  config: NodeConfig;
  manifests: Manifest[];
  port: number;
  keep: boolean;
}
interface Surroundings {
  clock: Clock;
  notes: Notes;
  io: Io;
  interrupt: Interrupt;
}

async function runIn(dir: RunDir, work: Work, { clock, notes, io, interrupt }: Surroundings): Promise<number> {
  const config = { ...work.config, stateDir: join(dir.path, "node") };
  const log = createLogger(config.logLevel);
  let session: Session | undefined;
  let agent: Agent | undefined;
  let running: RunPods | undefined;
  let pods: Pod[] = [];
  try {
    session = await openSession({ config, port: work.port, clock, log });
    // Before there is a node: nothing has run where a later document turns out to be invalid.
    const say = (text: string) => notes.say(text);
    pods = await applyAll(work.manifests, { client: session.client, note: say, signal: interrupt.first });
    if (pods.length === 0)
      throw new HostletError("ManifestInvalid", "nothing to run: there is no pod in these manifests");
    agent = await session.startNode(interrupt.first);
    const { RunPods } = await import("./runPods.ts");
    running = new RunPods({ client: session.client, clock, log, io, notes, pods, interrupt });
    return await running.outcome();
  } finally {
    if (!work.keep) await running?.remove(0);
    const clean = work.keep || !agent || (await emptied(agent, clock));
    await running?.stop();
    await session?.stop();
    if (work.keep) {
      for (const pod of pods) keepFiles(config, pod, notes);
      await dir.keep();
    } else if (clean) await dir.remove();
    else {
      notes.say(`something of the pods is left in ${dir.path}; the next run ends it`);
      dir.leave();
    }
  }
}

/** Says where they are, and takes away the link in podsDir, which would stand in the way of the next run's pod of this name. */
function keepFiles(config: NodeConfig, pod: Pod, notes: Notes): void {
  const { stateDir, podsDir, pathLayout } = config;
  const { dir, publicDir } = new PodFiles({ stateDir, podsDir, layout: pathLayout }).paths(pod);
  if (!existsSync(dir)) return;
  notes.say(`${pod.metadata?.name}: files kept in ${dir}`);
  try {
    if (readlinkSync(publicDir) === dir) unlinkSync(publicDir);
  } catch {
    // Not there, or no link: nothing of ours is in the way.
  }
}

/** Milliseconds; a bare number counts seconds. */
function parseTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(/^\d+$/.test(text) ? `${text}s` : text);
  if (ms === undefined || ms === 0) {
    throw new HostletError(
      "ConfigInvalid",
      `--timeout: must be a duration such as 90s or 5m, not ${JSON.stringify(text)}`,
    );
  }
  return ms;
}
