import { readFile } from "node:fs/promises";
import { homedir, hostname } from "node:os";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { HostletError } from "../errors.ts";
import { didYouMean } from "./nearest.ts";
import type { NodeConfig } from "./nodeConfig.ts";
import { options } from "./options.ts";

export interface ConfigSources {
  /** From the command line, by the name in NodeConfig; text or values. Undefined: not given. */
  flags?: Partial<Record<keyof NodeConfig, unknown>>;
  env: NodeJS.ProcessEnv;
  /** `--config`. Where it isn't given, `~/.hostlet/config.yaml` counts if it exists. */
  file?: string;
  /** What a command has instead of the general defaults. */
  defaults?: Partial<NodeConfig>;
  /** @default the user's home directory */
  home?: string;
}

/**
 * Flags before environment (`HOSTLET_PODS_DIR` for `podsDir`) before file before defaults.
 * @throws {HostletError} ConfigInvalid, naming the source, the key, and what it takes
 */
export async function loadConfig(sources: ConfigSources): Promise<NodeConfig> {
  const home = sources.home ?? homedir();
  const given = {
    ...(await fromFile(sources.file, home)),
    ...fromEnvironment(sources.env),
    ...fromFlags(sources.flags ?? {}),
  };
  const config: NodeConfig = { ...defaults(home), ...fromJobName(sources.env), ...sources.defaults, ...given };
  config.podsDir = absolute(config.podsDir, home);
  config.stateDir = absolute(config.stateDir, home);
  config.slurmDir = absolute(config.slurmDir, home);
  for (const key of ["slurmConfig", "slurmNodeBinary", "logDir"] as const) {
    if (config[key] !== undefined) config[key] = absolute(config[key], home);
  }
  return config;
}

/** `podsDir` is `HOSTLET_PODS_DIR`. */
export function variableName(key: string): string {
  return `HOSTLET_${key.replace(/[A-Z]+/g, "_$&").toUpperCase()}`;
}

/** The host's name in lower case, made a DNS name that a Node can have. */
export function defaultNodeName(host: string): string {
  const name = host
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, "-")
    .split(".")
    .map((part) => part.slice(0, 63).replace(/^-+|-+$/g, ""))
    .filter((part) => part !== "")
    .join(".");
  return name.slice(0, 253).replace(/[-.]+$/, "") || "hostlet";
}

function defaults(home: string): NodeConfig {
  return {
    nodeName: defaultNodeName(hostname()),
    provider: "local",
    runtime: "process",
    isolation: "none",
    systemdManager: undefined,
    dockerHost: undefined,
    interlinkUrl: undefined,
    interlinkTokenFile: undefined,
    interlinkCaFile: undefined,
    interlinkCertFile: undefined,
    interlinkKeyFile: undefined,
    interlinkStatusInterval: 5000,
    interlinkPingInterval: 30_000,
    podsDir: join(home, ".hostlet/pods"),
    stateDir: join(home, ".hostlet/state"),
    pathLayout: "namespace",
    compat: false,
    maxPods: 110,
    containerLogMaxSize: 10 * 2 ** 20,
    containerLogMaxFiles: 5,
    inheritEnv: [
      ...["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TZ", "TMPDIR"],
      ...["MODULEPATH", "MODULESHOME", "LOADEDMODULES", "LMOD_*", "XDG_RUNTIME_DIR"],
    ],
    images: [],
    pullImages: false,
    insecureRegistries: [],
    nodeLabels: {},
    nodeTaints: [],
    disableTaint: false,
    nodeIP: undefined,
    podCIDR: undefined,
    clusterDNS: [],
    clusterDomain: "cluster.local",
    kubeletPort: 10_250,
    healthzPort: 10_248,
    logDir: undefined,
    cpu: undefined,
    memory: undefined,
    extendedResources: {},
    extendedResourceDevices: {},
    extendedResourceVariables: {},
    slurmDir: join(home, ".hostlet/slurm"),
    slurmPartition: undefined,
    slurmFlags: [],
    slurmConfig: undefined,
    slurmFlavor: undefined,
    slurmPriorityClasses: {},
    slurmPollInterval: 10_000,
    slurmMemoryOverhead: 128 * 2 ** 20,
    slurmNodeBinary: undefined,
    podManifestPath: undefined,
    providerID: undefined,
    logLevel: "info",
    syncFrequency: 60_000,
  };
}

type Layer = Partial<NodeConfig>;

/** vk-cmd's convention: a JOBNAME that begins with `vk-` names the node. */
function fromJobName({ JOBNAME }: NodeJS.ProcessEnv): Layer {
  return JOBNAME?.startsWith("vk-") ? { nodeName: defaultNodeName(JOBNAME) } : {};
}

/** What flags alone say, for commands that make no node of this host. @throws {HostletError} ConfigInvalid */
export function fromFlags(flags: Partial<Record<string, unknown>>): Partial<NodeConfig> {
  const layer: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(flags)) {
    if (value !== undefined) layer[key] = checked(key as keyof NodeConfig, read(key, value), `--${kebab(key)}`);
  }
  return layer;
}

/** Variables of other names that begin with HOSTLET_ are no errors: a container of ours has such. */
function fromEnvironment(env: NodeJS.ProcessEnv): Layer {
  const layer: Record<string, unknown> = {};
  for (const [key, option] of entries()) {
    const name = variableName(key);
    const text = env[name];
    if (text !== undefined && option.text) layer[key] = checked(key, option.text(text), name);
  }
  return layer;
}

async function fromFile(path: string | undefined, home: string): Promise<Layer> {
  const file = path ?? join(home, ".hostlet/config.yaml");
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (path === undefined && (code === "ENOENT" || code === "ENOTDIR")) return {};
    throw invalid(`${file}: ${code === "ENOENT" ? "no such file" : message}`, cause);
  }
  const layer: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(await parseFile(text, file))) {
    if (!isOption(key))
      throw invalid(`${file}: unknown key ${JSON.stringify(key)}${didYouMean(key, Object.keys(options))}`);
    layer[key] = checked(key, value, `${file}: ${key}`);
  }
  return layer;
}

async function parseFile(text: string, file: string): Promise<object> {
  const { parseDocument } = await import("./yamlDocument.ts");
  const document = parseDocument(text, { prettyErrors: true, logLevel: "error" });
  const error = document.errors[0];
  if (error)
    throw invalid(
      `${file}, line ${error.linePos?.[0].line ?? 1}: not valid YAML: ${error.message.split("\n")[0]}`,
      error,
    );
  const value: unknown = document.toJS();
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw invalid(`${file}: must hold keys and values`);
  return value;
}

/** A flag comes as text, or as commander has made it: a boolean, a list of repeated values. */
function read(key: string, value: unknown): unknown {
  const text = options[key as keyof NodeConfig].text;
  if (Array.isArray(value)) return text?.(value.join(","));
  return typeof value === "string" && text ? text(value) : value;
}

function checked(key: keyof NodeConfig, value: unknown, source: string): unknown {
  const result = v.safeParse(options[key].schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const inside = v.getDotPath(issue);
  const where = inside === null ? source : `${source}.${inside}`;
  if (issue.type === "strict_object" && issue.expected === "never") {
    const known =
      key === "images" ? ["match", "entrypoint", "command", "env", "workingDir"] : ["key", "value", "effect"];
    const wrong = inside?.split(".").at(-1) ?? "";
    throw invalid(`${where}: unknown key${didYouMean(wrong, known)}`);
  }
  throw invalid(`${where}: must be ${issue.message}, not ${issue.received}`);
}

function absolute(path: string, home: string): string {
  return resolve(path === "~" || path.startsWith("~/") ? join(home, path.slice(1)) : path);
}

function kebab(key: string): string {
  return key.replace(/[A-Z]+/g, (capitals) => `-${capitals.toLowerCase()}`);
}

function entries() {
  return Object.entries(options) as [keyof NodeConfig, (typeof options)[keyof NodeConfig]][];
}

function isOption(key: string): key is keyof NodeConfig {
  return Object.hasOwn(options, key);
}

function invalid(message: string, cause?: unknown): HostletError {
  return new HostletError("ConfigInvalid", message, cause === undefined ? {} : { cause });
}
