import { mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import { type ApiConfig, loadApiConfig } from "../interlink/api/config.ts";
import { startApiServer } from "../interlink/api/server.ts";
import { tokenFileAuth } from "../interlink/http/auth.ts";
import { parseAddress } from "../interlink/http/listen.ts";
import type { Authenticate, HopServer } from "../interlink/http/server.ts";
import { createLogger, type Logger, type LogLevel } from "../telemetry/log.ts";
import type { Io } from "./console.ts";
import { onInterrupt } from "./interrupt.ts";
import { type PluginFlags, startConfiguredPlugin } from "./plugin.ts";

export interface InterlinkFlags extends Omit<PluginFlags, "config"> {
  /** interLink's own file. */
  config?: string;
  /** hostlet's file, for the Provider of this process. */
  nodeConfig?: string;
}

/**
 * `hostlet interlink`: interLink's API server, until a signal; with the Provider in this process where no plugin is named.
 * @returns what to exit with
 * @throws {HostletError} ConfigInvalid, StateLocked, ListenFailed, RuntimeUnavailable
 */
export async function interlink(flags: InterlinkFlags, io: Io): Promise<number> {
  const config = loadApiConfig(flags.config, io.env);
  const log = createLogger((flags.logLevel as LogLevel | undefined) ?? config.logLevel ?? "info");
  const interrupt = onInterrupt(io, systemClock);
  const undo: (() => Promise<void> | void)[] = [() => interrupt.dispose()];
  try {
    const sidecar = config.sidecar ?? (await ownPlugin(flags, io, undo));
    const listen = flags.listen ?? config.listen;
    const server = await startApiServer({
      address: parseAddress(listen, flags.listen === undefined ? "InterlinkAddress" : "--listen"),
      tls: config.tls,
      insecure: flags.insecureListen === true,
      authenticate: await authenticator(config),
      config: { ...config, sidecar },
      clock: systemClock,
      log,
    });
    undo.push(() => server.stop());
    announce(listen, server, config, flags, io, log);
    await new Promise<void>((resolve) => interrupt.first.addEventListener("abort", () => resolve(), { once: true }));
    return 0;
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

function announce(
  listen: string,
  { port }: HopServer,
  config: ApiConfig,
  flags: InterlinkFlags,
  io: Io,
  log: Logger,
): void {
  const behind = config.sidecar?.url ?? `provider ${flags.provider ?? "local"} in this process`;
  io.stdout.write(`interLink API listens on ${listen.replace(/:0$/, `:${port}`)}, before ${behind}\n`);
  log.info({ listen, behind }, "the interLink API is ready");
}

/** A plugin that nobody else can reach. */
async function ownPlugin(flags: InterlinkFlags, io: Io, undo: (() => Promise<void> | void)[]) {
  const dir = mkdtempSync(join(tmpdir(), "hostlet-interlink-"));
  undo.push(() => rmSync(dir, { recursive: true, force: true }));
  const socket = join(dir, "plugin.sock");
  const {
    config: _,
    listen: _listen,
    tlsCertFile: _cert,
    tlsPrivateKeyFile: _key,
    clientCaFile: _ca,
    tokenFile: _token,
    ...rest
  } = flags;
  const own = {
    ...rest,
    listen: `unix:${socket}`,
    ...(flags.nodeConfig !== undefined && { config: flags.nodeConfig }),
  };
  const plugin = await startConfiguredPlugin(own, io, io.env.HOME || homedir());
  undo.push(() => plugin.stop());
  return { url: `unix:${socket}` };
}

/** @throws {HostletError} ConfigInvalid */
async function authenticator(config: ApiConfig): Promise<Authenticate | undefined> {
  const { tokenFile, oidc } = config;
  if (tokenFile !== undefined && oidc) {
    throw new HostletError("ConfigInvalid", "Hostlet: TokenFile or OIDC, not both");
  }
  if (tokenFile !== undefined) return tokenFileAuth(tokenFile);
  if (!oidc) return undefined;
  const { oidcAuth } = await import("../interlink/http/oidc.ts");
  return oidcAuth(oidc, systemClock);
}
