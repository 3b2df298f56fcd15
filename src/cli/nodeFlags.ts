import { homedir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../config/load.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import { HostletError } from "../errors.ts";
import type { Io } from "./console.ts";

/** The flags of commands that run a node in this process. */
export interface NodeFlags {
  config?: string;
  compat?: boolean;
  nodeName?: string;
  podsDir?: string;
  stateDir?: string;
  pathLayout?: string;
  isolation?: string;
  logLevel?: string;
  port?: string;
}

/**
 * The configuration of a node beside an embedded control plane.
 * @param stateDirName below ~/.hostlet
 * @throws {HostletError} ConfigInvalid
 */
export function loadLocalConfig(flags: NodeFlags, io: Io, stateDirName: string): Promise<NodeConfig> {
  const { compat, nodeName, podsDir, stateDir, pathLayout, isolation, logLevel } = flags;
  const home = io.env.HOME || homedir();
  return loadConfig({
    flags: { compat, nodeName, podsDir, stateDir, pathLayout, isolation, logLevel },
    env: io.env,
    home,
    ...(flags.config === undefined ? {} : { file: flags.config }),
    defaults: {
      stateDir: join(home, ".hostlet", stateDirName),
      nodeIP: "127.0.0.1",
      kubeletPort: 0,
      healthzPort: 0,
      logLevel: "warn",
    },
  }).then((config) => ({ ...config, disableTaint: true }));
}

/** @throws {HostletError} ConfigInvalid */
export function parsePort(text: string | undefined): number {
  if (text === undefined) return 0;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535))
    throw new HostletError("ConfigInvalid", `--port: must be 0 to 65535, not ${JSON.stringify(text)}`);
  return port;
}
