import { homedir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../clock.ts";
import { loadConfig } from "../config/load.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import { HostletError } from "../errors.ts";
import { tokenFileAuth } from "../interlink/http/auth.ts";
import { parseAddress, type TlsFiles } from "../interlink/http/listen.ts";
import { startPlugin } from "../interlink/plugin/server.ts";
import { createProvider } from "../node/createProvider.ts";
import { nodeResources, readHostFacts } from "../node/nodeObject.ts";
import { lockStateDir } from "../node/stateLock.ts";
import { createLogger } from "../telemetry/log.ts";
import type { Io } from "./console.ts";
import { onInterrupt } from "./interrupt.ts";

export interface ListenFlags {
  listen?: string;
  tlsCertFile?: string;
  tlsPrivateKeyFile?: string;
  clientCaFile?: string;
  tokenFile?: string;
  insecureListen?: boolean;
}

export interface PluginFlags extends ListenFlags, Partial<Record<keyof NodeConfig, unknown>> {
  config?: string;
  reportResources?: boolean;
}

const configKeys = [
  "provider",
  "runtime",
  "isolation",
  "dockerHost",
  "podsDir",
  "stateDir",
  "pathLayout",
  "compat",
  "logLevel",
] as const satisfies (keyof NodeConfig)[];

/**
 * `hostlet plugin`: any Provider behind interLink's protocol, until a signal. Its pods run on.
 * @returns what to exit with
 * @throws {HostletError} ConfigInvalid, StateLocked, ListenFailed, RuntimeUnavailable
 */
export async function plugin(flags: PluginFlags, io: Io): Promise<number> {
  const interrupt = onInterrupt(io, systemClock);
  try {
    const server = await startConfiguredPlugin(flags, io, io.env.HOME || homedir());
    io.stdout.write(`plugin of provider ${server.provider} listens on ${server.listen}\n`);
    await new Promise<void>((resolve) => interrupt.first.addEventListener("abort", () => resolve(), { once: true }));
    await server.stop();
    return 0;
  } finally {
    interrupt.dispose();
  }
}

export interface ConfiguredPlugin {
  provider: string;
  listen: string;
  stop(): Promise<void>;
}

/** @throws {HostletError} as `plugin` */
export async function startConfiguredPlugin(flags: PluginFlags, io: Io, home: string): Promise<ConfiguredPlugin> {
  const config = await loadConfig({
    flags: Object.fromEntries(configKeys.map((key) => [key, flags[key]])),
    env: io.env,
    home,
    ...(flags.config === undefined ? {} : { file: flags.config }),
    defaults: { stateDir: join(home, ".hostlet/plugin") },
  });
  const listen = flags.listen ?? `unix:${join(config.stateDir, "plugin.sock")}`;
  const hostIP = config.nodeIP ?? "127.0.0.1";
  const resources = nodeResources(config, readHostFacts());
  const { cpu = "", memory = "", pods = "" } = resources;
  const lock = lockStateDir(config.stateDir);
  try {
    const server = await startPlugin({
      address: parseAddress(listen, "--listen"),
      tls: tlsOf(flags),
      insecure: flags.insecureListen === true,
      ...(flags.tokenFile !== undefined && { authenticate: tokenFileAuth(flags.tokenFile) }),
      provider: (context) => createProvider({ config, context, hostIP, allocatable: resources }),
      stateDir: config.stateDir,
      ...(flags.reportResources && { resources: { cpu, memory, pods } }),
      clock: systemClock,
      log: createLogger(config.logLevel),
    });
    return {
      provider: config.provider,
      listen: listen.replace(/:0$/, `:${server.port}`),
      async stop() {
        await server.stop();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** @throws {HostletError} ConfigInvalid */
export function tlsOf({ tlsCertFile, tlsPrivateKeyFile, clientCaFile }: ListenFlags): TlsFiles | undefined {
  if (tlsCertFile === undefined && tlsPrivateKeyFile === undefined && clientCaFile === undefined) return undefined;
  if (tlsCertFile === undefined || tlsPrivateKeyFile === undefined) {
    throw new HostletError(
      "ConfigInvalid",
      "--tls-cert-file and --tls-private-key-file go together, --client-ca-file with both",
    );
  }
  return { certFile: tlsCertFile, keyFile: tlsPrivateKeyFile, caFile: clientCaFile };
}
