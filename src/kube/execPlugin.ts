import { spawn } from "node:child_process";
import type { Clock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import type { ClientConfig, ExecPlugin } from "./clientConfig.ts";
import type { Credential, CredentialOptions, Credentials } from "./credentials.ts";
import { checkKey, parseCertificates } from "./pem.ts";

/** A plugin that asks nobody must be done within this. */
const timeoutMs = 60_000;
const longestOutput = 1 << 20;
/** As much of what a plugin says on stderr goes into a message. */
const excerptLength = 400;

/** What a plugin is told in KUBERNETES_EXEC_INFO. */
export function execInfo(plugin: ExecPlugin, cluster: ClientConfig, interactive: boolean): string {
  const { server, ca, tlsServerName, insecureSkipTlsVerify, proxyUrl } = cluster;
  const info = {
    server,
    ...(tlsServerName === undefined ? {} : { "tls-server-name": tlsServerName }),
    ...(insecureSkipTlsVerify ? { "insecure-skip-tls-verify": true } : {}),
    ...(ca === undefined ? {} : { "certificate-authority-data": Buffer.from(ca).toString("base64") }),
    ...(proxyUrl === undefined ? {} : { "proxy-url": proxyUrl }),
    ...(plugin.clusterConfig === undefined ? {} : { config: plugin.clusterConfig }),
  };
  return JSON.stringify({
    kind: "ExecCredential",
    apiVersion: plugin.apiVersion,
    spec: { ...(plugin.provideClusterInfo ? { cluster: info } : {}), interactive },
  });
}

export interface Issued {
  credential: Credential;
  /** Milliseconds since the epoch; undefined: until the server refuses it. */
  expiresAt: number | undefined;
}

/** What a plugin wrote. @throws {Error} it is no credential; the output, which may be a secret, is not quoted */
export function parseExecCredential(plugin: ExecPlugin, stdout: string): Issued {
  let parsed: unknown;
  try {
    parsed = JSON.parse(stdout);
  } catch {
    throw new Error("its output is no JSON");
  }
  const { kind, apiVersion, status } = asMapping(parsed);
  if (kind !== "ExecCredential") throw new Error("its output is no ExecCredential");
  if (apiVersion !== plugin.apiVersion) {
    throw new Error(`it answered with apiVersion ${String(apiVersion)} where ${plugin.apiVersion} is configured`);
  }
  if (status === undefined || status === null) throw new Error("its answer has no status");
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = asMapping(status);
  if (!isText(token) && !isText(cert) && !isText(key))
    throw new Error("its answer has neither a token nor a certificate");
  if (isText(cert) !== isText(key)) throw new Error("its answer has only one of certificate and key");
  if (isText(cert) && isText(key)) checkKey(key, parseCertificates(cert)[0]);
  const expiresAt = isText(expirationTimestamp) ? Date.parse(expirationTimestamp) : undefined;
  if (Number.isNaN(expiresAt)) throw new Error("the expirationTimestamp of its answer is no time");
  return {
    credential: {
      ...(isText(token) ? { authorization: `Bearer ${token}` } : {}),
      ...(isText(cert) && isText(key) ? { certificate: { cert, key } } : {}),
    },
    expiresAt,
  };
}

function asMapping(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** Runs the plugin when a credential is needed: at first, when the last one has expired, or was refused. One run at a time. */
export function execCredentials(plugin: ExecPlugin, cluster: ClientConfig, options: CredentialOptions): Credentials {
  const abort = new AbortController();
  let known: Issued | undefined;
  let running: Promise<Credential> | undefined;
  const renew = async () => {
    try {
      known = undefined;
      known = await runPlugin(plugin, cluster, options, abort.signal);
      return known.credential;
    } finally {
      running = undefined;
    }
  };
  return {
    current() {
      if (running !== undefined) return running;
      if (known && (known.expiresAt === undefined || options.clock.now() <= known.expiresAt)) return known.credential;
      running = renew();
      return running;
    },
    refused(credential) {
      if (known?.credential === credential) known = undefined;
    },
    close: () => abort.abort(new Error("the client was closed")),
  };
}

async function runPlugin(
  plugin: ExecPlugin,
  cluster: ClientConfig,
  { clock, env, interactive: terminal }: CredentialOptions,
  signal: AbortSignal,
): Promise<Issued> {
  const name = `credential plugin ${plugin.command}`;
  if (plugin.interactiveMode === "Always" && !terminal) {
    throw new HostletError(
      "ConfigInvalid",
      `${name}: its interactiveMode is Always, but there is no terminal to ask on`,
    );
  }
  const interactive = terminal && plugin.interactiveMode !== "Never";
  const given = Object.fromEntries(plugin.env.map((variable) => [variable.name, variable.value]));
  const KUBERNETES_EXEC_INFO = execInfo(plugin, cluster, interactive);
  try {
    const stdout = await run(plugin, { ...env, ...given, KUBERNETES_EXEC_INFO }, interactive, clock, signal);
    return parseExecCredential(plugin, stdout);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EACCES") {
      const what = code === "ENOENT" ? "is not installed or not in PATH" : "can't be executed";
      const hint = plugin.installHint === undefined ? "" : `. ${plugin.installHint}`;
      throw new HostletError("ConfigInvalid", `${name} ${what}${hint}`, { cause });
    }
    throw new Error(`${name}: ${message}`, { cause });
  }
}

/** What the plugin writes on stdout. What it says on stderr is for people: shown to them, or put into the error. */
function run(
  plugin: ExecPlugin,
  env: NodeJS.ProcessEnv,
  interactive: boolean,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const child = spawn(plugin.command, plugin.args, {
      env,
      stdio: [interactive ? "inherit" : "ignore", "pipe", interactive ? "inherit" : "pipe"],
    });
    const output: Buffer[] = [];
    let length = 0;
    let said = "";
    const settle = (error: unknown, text = "") => {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
      child.stdout?.destroy();
      child.stderr?.destroy();
      if (error) reject(error);
      else resolve(text);
    };
    const giveUp = (error: unknown) => {
      child.kill("SIGKILL");
      settle(error);
    };
    const onAbort = () => giveUp(signal.reason);
    const cancelTimer = interactive
      ? () => {}
      : clock.after(timeoutMs, () => giveUp(new Error(`it was not done within ${timeoutMs / 1000} s`)));
    signal.addEventListener("abort", onAbort, { once: true });
    child.stdout?.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > longestOutput) giveUp(new Error("its output is longer than 1 MiB"));
      else output.push(chunk);
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-excerptLength);
    });
    child.on("error", settle);
    child.on("close", (code, killedBy) => {
      if (code === 0) return settle(undefined, Buffer.concat(output).toString());
      const ending = killedBy === null ? `it ended with exit code ${code}` : `it was ended by ${killedBy}`;
      const words = said.replace(/\s+/g, " ").trim();
      settle(new Error(words === "" ? ending : `${ending}: ${words}`));
    });
  });
}
