import { homedir } from "node:os";
import { sleep, systemClock } from "../clock.ts";
import { loadConfig } from "../config/load.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import { parseDuration } from "../config/units.ts";
import { HostletError } from "../errors.ts";
import { createClient } from "../kube/client.ts";
import type { ClientConfig } from "../kube/clientConfig.ts";
import { type Agent, startAgent } from "../node/agent.ts";
import { shutdownReason, walltimeReason } from "../node/registration.ts";
import { type Walltime, walltimeOf, walltimeState } from "../node/walltime.ts";
import { createLogger } from "../telemetry/log.ts";
import { type AccessFlags, findAccess } from "./access.ts";
import { clusterError } from "./clusterError.ts";
import type { Io } from "./console.ts";
import { count } from "./endPods.ts";
import { type Interrupt, Interrupted, onInterrupt } from "./interrupt.ts";
import { ownAccess } from "./ownAccess.ts";
import { userAgent } from "./version.ts";

/** Flags of `hostlet node`: those of NodeConfig by their names there, and what only a run of the command has. */
export interface NodeCommandFlags extends AccessFlags, Partial<Record<keyof NodeConfig, unknown>> {
  config?: string;
  allowNamespaces?: string;
  /** A duration such as `2h`, or seconds. */
  walltime?: string;
  walltimeMargin?: string;
  drainOnExit?: boolean;
  onExit?: string;
  /** How long to wait for the cluster; 0 or none: for ever. */
  startupTimeout?: string;
}

const configKeys = [
  "nodeName",
  "provider",
  "runtime",
  "isolation",
  "interlinkUrl",
  "interlinkTokenFile",
  "interlinkCaFile",
  "interlinkCertFile",
  "interlinkKeyFile",
  "interlinkStatusInterval",
  "podsDir",
  "stateDir",
  "pathLayout",
  "compat",
  "maxPods",
  "nodeLabels",
  "nodeTaints",
  "disableTaint",
  "nodeIP",
  "kubeletPort",
  "healthzPort",
  "cpu",
  "memory",
  "extendedResources",
  "slurmDir",
  "slurmPartition",
  "slurmFlags",
  "slurmConfig",
  "slurmFlavor",
  "slurmPollInterval",
  "providerID",
  "logLevel",
] as const satisfies (keyof NodeConfig)[];

/** Until a drain at a signal gives up; a second signal ends it at once. */
const longestDrainMs = 3600_000;

/**
 * `hostlet node`: a node of a cluster, until a signal or the end of its walltime.
 * @returns what to exit with
 * @throws {HostletError} ConfigInvalid, StateLocked, ListenFailed, NodeNameTaken, RuntimeUnavailable, ApiFailed
 */
export async function node(flags: NodeCommandFlags, io: Io): Promise<number> {
  const clock = systemClock;
  const startedAt = clock.now();
  const startupMs = duration(flags.startupTimeout, "--startup-timeout");
  const walltimeMs = duration(flags.walltime, "--walltime") ?? 0;
  const marginMs = duration(flags.walltimeMargin, "--walltime-margin");
  if (marginMs !== undefined && walltimeMs > 0 && marginMs >= walltimeMs) {
    throw new HostletError(
      "ConfigInvalid",
      `--walltime-margin: must be shorter than --walltime ${flags.walltime}, not ${flags.walltimeMargin}`,
    );
  }
  const walltime = walltimeOf(walltimeMs / 1000, marginMs === undefined ? undefined : marginMs / 1000, startedAt);
  if (flags.onExit !== undefined && flags.onExit !== "delete-node") {
    throw new HostletError("ConfigInvalid", `--on-exit: must be delete-node, not ${JSON.stringify(flags.onExit)}`);
  }
  const home = io.env.HOME || homedir();
  const config = await loadConfig({
    flags: Object.fromEntries(configKeys.map((key) => [key, flags[key]])),
    env: io.env,
    home,
    ...(flags.config === undefined ? {} : { file: flags.config }),
  });
  const log = createLogger(config.logLevel);
  const names = [config.nodeName, ...(config.nodeIP === undefined ? [] : [config.nodeIP])];
  const access = await findAccess(flags, io.env, home, names, config.stateDir);
  for (const warning of access.warnings) io.stderr.write(`warning: ${warning}\n`);

  const connect = (to: ClientConfig) => createClient(to, { log, clock, userAgent, env: io.env });
  let client = connect(access.client);
  const interrupt = onInterrupt(io, clock, startupMs || undefined);
  let agent: Agent | undefined;
  try {
    interrupt.first.throwIfAborted();
    const own = await ownAccess({ access, flags, config, client, clock, log, io, signal: interrupt.first });
    if (own !== access.client) {
      client.close();
      client = connect(own);
    }
    const allowNamespaces = flags.allowNamespaces?.split(",").filter((name) => name !== "");
    agent = await startAgent({
      client,
      config,
      serving: access.serving,
      identity: access.identity,
      ...(flags.rotateCertificates && { rotateClient: true }),
      ...(walltime && { walltime }),
      ...(allowNamespaces && { allowNamespaces }),
      log,
      clock,
      signal: interrupt.first,
    });
    interrupt.cancelTimeout();
    io.stdout.write(`node ${agent.nodeName} is Ready at ${client.server}; its kubelet API is on port ${agent.port}\n`);
    await untilTheEnd(agent, walltime, flags, interrupt, io);
    return 0;
  } catch (error) {
    if (error instanceof Interrupted) return error.exitCode;
    throw clusterError(error, client.server);
  } finally {
    await agent?.stop();
    client.close();
    interrupt.dispose();
  }
}

async function untilTheEnd(
  agent: Agent,
  walltime: Walltime | undefined,
  flags: NodeCommandFlags,
  interrupt: Interrupt,
  io: Io,
): Promise<void> {
  const timeIsUp = await drainTime(walltime, interrupt.first);
  const pods = count(agent.podCount(), "pod");
  const atOnce = aborted(interrupt.second);
  if (timeIsUp && walltime) {
    const { leftMs } = walltimeState(walltime, systemClock.now());
    const message = `The node's walltime of ${Math.round(walltime.durationMs / 1000)} s ends in ${Math.round(leftMs / 1000)} s`;
    io.stderr.write(`${message}: ending ${pods}\n`);
    await Promise.race([agent.drain({ reason: walltimeReason, message }, leftMs), atOnce]);
  } else if (flags.drainOnExit) {
    io.stderr.write(`ending ${pods}; again to leave at once\n`);
    const cause = { reason: shutdownReason, message: "The node is shutting down" };
    await Promise.race([agent.drain(cause, longestDrainMs), atOnce]);
  } else if (agent.podCount() > 0) {
    const run = agent.podCount() === 1 ? "runs" : "run";
    io.stderr.write(`${pods} ${run} on; the next agent of this node takes them up again\n`);
  }
  if (flags.onExit === "delete-node") {
    await agent.removeNode().catch((error: Error) => {
      io.stderr.write(`warning: the Node was not deleted: ${error.message}; kubectl delete node ${agent.nodeName}\n`);
    });
  }
}

/** Resolves at the signal's abort, or (true) when the drain at the end of the walltime begins. */
async function drainTime(walltime: Walltime | undefined, signal: AbortSignal): Promise<boolean> {
  if (!walltime) {
    await aborted(signal);
    return false;
  }
  const { drainAt } = walltimeState(walltime, systemClock.now());
  // A timer holds no more than 24 days: it is set again until the time has come.
  while (!signal.aborted && systemClock.now() < drainAt) {
    await sleep(systemClock, drainAt - systemClock.now(), signal).catch(() => {});
  }
  return !signal.aborted;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** ms; a bare number is seconds, as batch systems have them. */
function duration(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : parseDuration(text);
  if (ms === undefined || !(ms >= 0)) {
    throw new HostletError(
      "ConfigInvalid",
      `${flag}: must be a duration such as 90s or 2h, not ${JSON.stringify(text)}`,
    );
  }
  return ms;
}
