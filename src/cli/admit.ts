import { isIP } from "node:net";
import { arch, homedir } from "node:os";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import { systemClock } from "../clock.ts";
import { fromFlags } from "../config/load.ts";
import { parseDuration } from "../config/units.ts";
import { HostletError } from "../errors.ts";
import { createClient } from "../kube/client.ts";
import type { ClientConfig } from "../kube/clientConfig.ts";
import { loadKubeconfig } from "../kube/kubeconfig.ts";
import { admit as admitNode } from "../node/admit/admit.ts";
import { openIdentityDirectory, writeIdentity } from "../node/admit/identityFiles.ts";
import { type Admission, admissionObjects } from "../node/admit/objects.ts";
import { silentLogger } from "../telemetry/log.ts";
import type { Io } from "./console.ts";
import { Interrupted, onInterrupt } from "./interrupt.ts";
import { userAgent } from "./version.ts";

export interface AdmitFlags {
  kubeconfig?: string;
  context?: string;
  nodeLabels?: string;
  nodeTaints?: string;
  disableTaint?: boolean;
  ip?: string;
  names?: string;
  out?: string;
  expiration?: string;
  dryRun?: boolean;
}

/**
 * `hostlet admit NAME`: makes the Node and its credentials, as an administrator.
 * @returns what to exit with
 * @throws {HostletError} ConfigInvalid, PathNotOurs, ApiFailed
 */
export async function admit(name: string, flags: AdmitFlags, io: Io): Promise<number> {
  const admission = readAdmission(name, flags);
  if (flags.dryRun) {
    io.stdout.write(
      admissionObjects(admission)
        .map((object) => stringify(object))
        .join("---\n"),
    );
    return 0;
  }
  const home = io.env.HOME || homedir();
  const dir = resolve(flags.out ?? join(home, ".hostlet", name));
  const config = loadKubeconfig(adminKubeconfig(flags, io.env, home), flags.context ? { context: flags.context } : {});
  openIdentityDirectory(dir);

  const clock = systemClock;
  const interrupt = onInterrupt(io, clock);
  const client = createClient(config, {
    log: silentLogger,
    clock,
    userAgent,
    env: io.env,
    interactive: io.stdin === process.stdin && process.stdin.isTTY,
  });
  try {
    const say = (line: string) => io.stdout.write(`${line}\n`);
    const pairs = await admitNode({ client, admission, clock, signal: interrupt.first, say });
    writeIdentity(dir, { nodeName: name, cluster: config, ...pairs });
    io.stdout.write(nextSteps(name, dir));
    for (const warning of warningsOf(admission, config)) io.stderr.write(`warning: ${warning}\n`);
    return 0;
  } catch (error) {
    if (error instanceof Interrupted) return error.exitCode;
    throw error;
  } finally {
    client.close();
    interrupt.dispose();
  }
}

/** @throws {HostletError} ConfigInvalid */
export function readAdmission(name: string, flags: AdmitFlags): Admission {
  const { nodeLabels = {}, nodeTaints = [] } = fromFlags({
    nodeName: name,
    nodeLabels: flags.nodeLabels,
    nodeTaints: flags.nodeTaints,
  });
  const ips = list(flags.ip);
  for (const ip of ips) {
    if (!isIP(ip)) throw new HostletError("ConfigInvalid", `--ip: must be IP addresses, not ${JSON.stringify(ip)}`);
  }
  const names = list(flags.names);
  for (const dns of names) {
    if (!/^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(dns)) {
      throw new HostletError("ConfigInvalid", `--names: must be DNS names in lower case, not ${JSON.stringify(dns)}`);
    }
  }
  return {
    nodeName: name,
    nodeLabels,
    nodeTaints,
    disableTaint: flags.disableTaint ?? false,
    architecture: { x64: "amd64" }[arch() as string] ?? arch(),
    ips,
    names,
    expirationSeconds: expiration(flags.expiration),
  };
}

function list(text = ""): string[] {
  return text.split(",").flatMap((part) => part.trim() || []);
}

function expiration(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const days = /^(\d+)d$/.exec(text)?.[1];
  const ms = days === undefined ? parseDuration(text) : Number(days) * 86_400_000;
  if (ms === undefined || ms < 600_000) {
    const message = `--expiration: must be a duration of at least 10m, such as 720h or 90d, not ${JSON.stringify(text)}`;
    throw new HostletError("ConfigInvalid", message);
  }
  return Math.floor(ms / 1000);
}

function adminKubeconfig(flags: AdmitFlags, env: NodeJS.ProcessEnv, home: string): string {
  const file = flags.kubeconfig ?? (env.KUBECONFIG || join(home, ".kube", "config"));
  if (flags.kubeconfig === undefined && file.includes(":")) {
    throw new HostletError(
      "ConfigInvalid",
      "KUBECONFIG names several files: say with --kubeconfig which one is the administrator's",
    );
  }
  return file;
}

function nextSteps(name: string, dir: string): string {
  return `kubeconfig, serving.crt, serving.key and kubelet-ca.crt are in ${dir}

Bring that directory to the node's host, readable for the node's user alone, and run there:

  hostlet node --node-name ${name} --identity ${dir}
`;
}

function warningsOf({ ips, nodeName }: Admission, { server, ca }: ClientConfig): string[] {
  const warnings: string[] = [];
  if (ips.length === 0) {
    warnings.push(
      `without --ip the serving certificate holds only the node's name and the addresses that its Node has by now: an API server that reaches ${nodeName} by another address refuses kubectl logs`,
    );
  }
  if (/^(localhost|127\.|\[::1\])/.test(new URL(server).hostname)) {
    warnings.push(
      `the kubeconfig's server is ${server}: from another host the node can't reach it; edit its kubeconfig`,
    );
  }
  if (ca === undefined) {
    warnings.push(
      "the kubeconfig names no CA, so there is no kubelet-ca.crt: tell hostlet node with --client-ca-file which CA signs the API server's client certificate",
    );
  }
  return warnings;
}
