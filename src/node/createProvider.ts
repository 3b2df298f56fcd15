import type { NodeConfig } from "../config/nodeConfig.ts";
import { HostletError } from "../errors.ts";
import type { Pod } from "../kube/types.ts";
import { deviceVariables } from "../kubelet/devices/configured.ts";
import type { NodeDevices } from "../kubelet/devices/find.ts";
import { DeviceLedger } from "../kubelet/devices/ledger.ts";
import type { Allocatable } from "../kubelet/env/resourceField.ts";
import { isolationOf } from "../kubelet/isolation.ts";
import { parseNetwork } from "../kubelet/network/addresses.ts";
import { BridgeNetwork } from "../kubelet/network/bridge.ts";
import type { PodNetwork } from "../kubelet/network/podNetwork.ts";
import { PodFiles } from "../kubelet/podFiles.ts";
import { createPreparer } from "../kubelet/preparer.ts";
import type { Provider, ProviderContext } from "../providers/contract.ts";
import { createDummyProvider } from "../providers/dummy/index.ts";
import { InterlinkProvider } from "../providers/interlink/index.ts";
import { LocalProvider } from "../providers/local/index.ts";
import { SlurmProvider } from "../providers/slurm/index.ts";
import type { ContainerRuntime, RuntimeFeature } from "../runtimes/contract.ts";
import { createDockerRuntime } from "../runtimes/docker/runtime.ts";
import { findEngineSocket } from "../runtimes/docker/socket.ts";
import { metered } from "../runtimes/metered.ts";
import { createSystemdRuntime } from "../runtimes/systemd/runtime.ts";
import { agentID } from "./leaseGuard.ts";
import { processRuntime } from "./processRuntime.ts";

export interface ProviderOptions {
  config: NodeConfig;
  context: ProviderContext;
  /** Address of this node. */
  hostIP: string;
  /** What the node has for pods. */
  allocatable: Allocatable;
  /** What the local provider gives out. @default nothing */
  devices?: NodeDevices;
}

/** The Provider that the configuration names, with what it drives. */
export function createProvider(options: ProviderOptions): Provider {
  const { config } = options;
  switch (config.provider) {
    case "local":
      return createLocalProvider(options);
    case "slurm":
      return new SlurmProvider(options.context, config);
    case "interlink":
      return createInterlinkProvider(options);
    case "dummy": {
      const { stateDir, podsDir } = config;
      return createDummyProvider({ context: options.context, stateDir, podsDir, hostIP: options.hostIP });
    }
  }
}

function createInterlinkProvider({ config, context, hostIP, allocatable }: ProviderOptions): Provider {
  const { interlinkUrl: url, stateDir } = config;
  const { interlinkStatusInterval: statusIntervalMs, interlinkPingInterval: pingIntervalMs } = config;
  if (url === undefined) {
    throw new HostletError("ConfigInvalid", "--provider interlink: say where pods go, by --interlink-url URL");
  }
  const { interlinkTokenFile: tokenFile, interlinkCaFile: caFile } = config;
  const { interlinkCertFile: certFile, interlinkKeyFile: keyFile } = config;
  const endpoint = { url, tokenFile, caFile, certFile, keyFile };
  return new InterlinkProvider({ context, endpoint, stateDir, hostIP, allocatable, statusIntervalMs, pingIntervalMs });
}

function createLocalProvider({ config, context, hostIP, allocatable, ...options }: ProviderOptions): Provider {
  const { objects, clock } = context;
  const runtime = createRuntime(config, context);
  const features = (pod: Pod) => {
    const isolation = isolationOf(pod, config.isolation);
    return runtime.features?.(isolation === "none" ? undefined : isolation) ?? new Set<RuntimeFeature>();
  };
  const network = podNetwork(config, context);
  const devices = new DeviceLedger(options.devices, deviceVariables(config));
  const shared = { devices, ...(network && { network }) };
  return new LocalProvider({
    context,
    ...shared,
    runtime: context.metrics ? metered(runtime, context.metrics) : runtime,
    files: new PodFiles({ stateDir: config.stateDir, podsDir: config.podsDir, layout: config.pathLayout }),
    preparer: createPreparer({ config, objects, clock, hostIP, allocatable, features, ...shared }),
    hostIP,
    features,
  });
}

/** @throws {HostletError} ConfigInvalid where it can't be had */
function podNetwork(config: NodeConfig, { log }: ProviderContext): PodNetwork | undefined {
  const { podCIDR: cidr, isolation, runtime, stateDir } = config;
  if (cidr === undefined) return undefined;
  const network = parseNetwork(cidr);
  if (!network) throw new HostletError("ConfigInvalid", `podCIDR: must be a network such as 10.88.0.0/16, not ${cidr}`);
  if (isolation !== "sandbox" || runtime !== "process" || process.geteuid?.() !== 0) {
    throw new HostletError("ConfigInvalid", "podCIDR: needs isolation: sandbox, the runtime process, and root");
  }
  return new BridgeNetwork({ cidr, network, stateDir, log });
}

function createRuntime(config: NodeConfig, context: ProviderContext): ContainerRuntime {
  const { log, clock } = context;
  const logLimits = { maxBytes: config.containerLogMaxSize, maxFiles: config.containerLogMaxFiles };
  switch (config.runtime) {
    case "docker": {
      const socket = findEngineSocket(config.dockerHost, process.env);
      return createDockerRuntime({ socket, node: agentID(config.stateDir), clock, log, logLimits });
    }
    case "systemd":
      return createSystemdRuntime({ scope: systemdScope(config), stateDir: config.stateDir, clock, log, logLimits });
    case "process":
      return processRuntime(config, context);
  }
}

/** Root's units are the system's, everybody else's their own manager's. */
function systemdScope({ systemdManager }: NodeConfig): "system" | "user" {
  return systemdManager ?? (process.getuid?.() === 0 ? "system" : "user");
}
