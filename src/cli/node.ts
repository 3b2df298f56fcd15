import { execFileSync } from "node:child_process";
import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { homedir, hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, systemClock } from "../clock.ts";
import { loadConfig } from "../config/load.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import { parseDuration } from "../config/units.ts";
import { HostletError } from "../errors.ts";
import { createClient, type KubeClient } from "../kube/client.ts";
import type { ClientConfig } from "../kube/clientConfig.ts";
import { type Agent, type AgentOptions, startAgent } from "../node/agent.ts";
import { shutdownReason, walltimeReason } from "../node/registration.ts";
import { type Walltime, walltimeOf, walltimeState } from "../node/walltime.ts";
import { type Allocation, findAllocation } from "../pilot/allocation.ts";
import { parseTimeLeft } from "../pilot/keep.ts";
import { allocationDefaults, allocationLabels, nodeTypeLabel, siteLabel } from "../pilot/nodeOf.ts";
import { parseTunnel, SshTunnel, type TunnelOptions } from "../pilot/tunnel.ts";
import { createLogger } from "../telemetry/log.ts";
import { type AccessFlags, findAccess } from "./access.ts";
import { clusterError } from "./clusterError.ts";
import { type Io, Notes } from "./console.ts";
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
  site?: string;
  nodeType?: string;
  /** False: a batch system's allocation is not looked at. */
  allocation?: boolean;
  tunnel?: string;
  tunnelBind?: string;
  /** How many virtual nodes this process is. */
  nodes?: string;
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
  "interlinkPingInterval",
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
  "podManifestPath",
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
  const allocation = flags.allocation === false ? undefined : allocationOf(io.env, startedAt);
  const walltime = findWalltime(flags, allocation, startedAt);
  if (flags.onExit !== undefined && flags.onExit !== "delete-node") {
    throw new HostletError("ConfigInvalid", `--on-exit: must be delete-node, not ${JSON.stringify(flags.onExit)}`);
  }
  const tunnel = flags.tunnel === undefined ? undefined : parseTunnel(flags.tunnel);
  const bind = flags.tunnelBind ?? "127.0.0.1";
  const home = io.env.HOME || homedir();
  const config = await loadConfig({
    flags: Object.fromEntries(configKeys.map((key) => [key, flags[key]])),
    env: io.env,
    home,
    ...(flags.config === undefined ? {} : { file: flags.config }),
    defaults: {
      ...(allocation && allocationDefaults(allocation, io.env.TMPDIR || tmpdir(), process.getuid?.() ?? 0)),
      ...(tunnel && { nodeIP: bind, kubeletPort: 0 }),
    },
  });
  config.nodeLabels = { ...placeLabels(flags, allocation), ...config.nodeLabels };
  const configs = manyNodes(config, flags.nodes);
  const log = createLogger(config.logLevel);
  if (allocation) log.info({ allocation }, "in an allocation of a batch system");
  const interrupt = onInterrupt(io, clock, startupMs || undefined);
  // Every node listens to it.
  setMaxListeners(0, interrupt.first);
  const notes = new Notes(io.stderr, false);
  const agents: Agent[] = [];
  const clients: KubeClient[] = [];
  try {
    for (const one of configs) {
      const names = [one.nodeName, ...(one.nodeIP === undefined ? [] : [one.nodeIP])];
      const access = await findAccess(flags, io.env, home, names, one.stateDir);
      for (const warning of access.warnings) notes.say(`warning: ${warning}`);
      const connect = (to: ClientConfig) => {
        const client = createClient(to, { log, clock, userAgent, env: io.env });
        clients.push(client);
        return client;
      };
      let client = connect(access.client);
      const allowNamespaces = flags.allowNamespaces?.split(",").filter((name) => name !== "");
      const agent = await joined(client.server, async () => {
        interrupt.first.throwIfAborted();
        const own = await ownAccess({ access, flags, config: one, client, clock, log, io, signal: interrupt.first });
        if (own !== access.client) {
          client.close();
          client = connect(own);
        }
        return startAgent({
          client,
          config: one,
          serving: access.serving,
          identity: access.identity,
          ...(flags.rotateCertificates && { rotateClient: true }),
          ...(walltime && { walltime }),
          ...(allowNamespaces && { allowNamespaces }),
          ...(tunnel && { expose: exposeBy({ target: tunnel, bind, clock, log }) }),
          log,
          clock,
          signal: interrupt.first,
        });
      });
      agents.push(agent);
      io.stdout.write(
        `node ${agent.nodeName} is Ready at ${client.server}; its kubelet API is on port ${agent.port}\n`,
      );
    }
    interrupt.cancelTimeout();
    // A batch system ends what is left when the job ends: no next agent finds it.
    const ending = { ...flags, drainOnExit: flags.drainOnExit ?? allocation !== undefined };
    const end = endOf(walltime, interrupt);
    await Promise.all(agents.map((agent) => untilTheEnd(agent, walltime, ending, end, interrupt, io)));
    return 0;
  } catch (error) {
    if (error instanceof Interrupted) return error.exitCode;
    throw error;
  } finally {
    await Promise.all(agents.map((agent) => agent.stop()));
    for (const client of clients) client.close();
    interrupt.dispose();
  }
}

/** What goes wrong with the cluster is told in words about the cluster. */
async function joined(server: string, join: () => Promise<Agent>): Promise<Agent> {
  try {
    return await join();
  } catch (error) {
    throw error instanceof Interrupted ? error : clusterError(error, server);
  }
}

function allocationOf(env: NodeJS.ProcessEnv, now: number): Allocation | undefined {
  const read = (path: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  };
  const allocation = findAllocation({ env, now, hostname: hostname(), read });
  if (allocation?.system !== "slurm" || allocation.endsAt !== undefined) return allocation;
  const leftMs = slurmTimeLeft(allocation.jobId);
  return leftMs === undefined ? allocation : { ...allocation, endsAt: now + leftMs };
}

/** Older ones don't say in the environment when a job ends. */
function slurmTimeLeft(jobId: string): number | undefined {
  try {
    const args = ["--noheader", `--jobs=${jobId}`, "--format=%L"];
    return parseTimeLeft(execFileSync("squeue", args, { encoding: "utf8", timeout: 20_000, stdio: "pipe" }));
  } catch {
    return undefined; // no time limit is known: none is kept
  }
}

/** That of the flag, else what is left of the allocation. @throws {HostletError} ConfigInvalid */
function findWalltime(
  flags: NodeCommandFlags,
  allocation: Allocation | undefined,
  startedAt: number,
): Walltime | undefined {
  const left = allocation?.endsAt === undefined ? 0 : Math.max(1000, allocation.endsAt - startedAt);
  const walltimeMs = duration(flags.walltime, "--walltime") ?? left;
  const marginMs = duration(flags.walltimeMargin, "--walltime-margin");
  if (marginMs !== undefined && walltimeMs > 0 && marginMs >= walltimeMs) {
    throw new HostletError(
      "ConfigInvalid",
      `--walltime-margin: must be shorter than --walltime ${flags.walltime ?? `${left / 1000}s`}, not ${flags.walltimeMargin}`,
    );
  }
  return walltimeOf(walltimeMs / 1000, marginMs === undefined ? undefined : marginMs / 1000, startedAt);
}

function placeLabels(flags: NodeCommandFlags, allocation: Allocation | undefined): Record<string, string> {
  return {
    ...(allocation && allocationLabels(allocation)),
    ...(flags.site !== undefined && { [siteLabel]: flags.site }),
    ...(flags.nodeType !== undefined && { [nodeTypeLabel]: flags.nodeType }),
  };
}

/** Several nodes in one process: each with a name, a state directory and a port of its own. @throws {HostletError} ConfigInvalid */
function manyNodes(config: NodeConfig, text: string | undefined): NodeConfig[] {
  if (text === undefined) return [config];
  const count = /^[1-9]\d{0,3}$/.test(text) ? Number(text) : undefined;
  if (!count) throw new HostletError("ConfigInvalid", `--nodes: must be 1 to 9999, not ${JSON.stringify(text)}`);
  return Array.from({ length: count }, (_, n) => {
    const nodeName = `${config.nodeName}-${n}`;
    return {
      ...config,
      nodeName,
      stateDir: join(config.stateDir, nodeName),
      podsDir: join(config.podsDir, nodeName),
      kubeletPort: 0,
      healthzPort: 0,
    };
  });
}

function exposeBy(
  options: Pick<TunnelOptions, "target" | "bind" | "clock" | "log">,
): NonNullable<AgentOptions["expose"]> {
  return async (localPort, moved) => {
    let port = 0;
    const tunnel = new SshTunnel({
      ...options,
      localPort,
      moved: (now) => {
        port = now;
        moved();
      },
    });
    port = await tunnel.start();
    return {
      get port() {
        return port;
      },
      stop: () => tunnel.stop(),
    };
  };
}

async function untilTheEnd(
  agent: Agent,
  walltime: Walltime | undefined,
  flags: Pick<NodeCommandFlags, "drainOnExit" | "onExit">,
  end: Promise<boolean>,
  interrupt: Interrupt,
  io: Io,
): Promise<void> {
  const timeIsUp = await end;
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
async function endOf(walltime: Walltime | undefined, { first: signal }: Interrupt): Promise<boolean> {
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
