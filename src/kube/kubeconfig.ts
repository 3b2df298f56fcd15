import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { HostletError } from "../errors.ts";
import type { ClientConfig } from "./clientConfig.ts";
import { readExecPlugin } from "./kubeconfigExec.ts";
import { Fields, isMapping, type Mapping, reasonOf } from "./kubeconfigFields.ts";
import { checkKey, checkTime, parseCertificates } from "./pem.ts";
import { parseProxy } from "./proxy.ts";

export type { ClientConfig } from "./clientConfig.ts";

export interface KubeconfigOptions {
  /** @default the file's current-context */
  context?: string;
  /** By which a client certificate may have expired, in milliseconds. @default Date.now() */
  now?: number;
}

/**
 * One context of a kubeconfig file. Relative file names in it are relative to its directory.
 * @throws {HostletError} ConfigInvalid; the message names the file, the context and the field
 */
export function loadKubeconfig(file: string, options: KubeconfigOptions = {}): ClientConfig {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new HostletError("ConfigInvalid", `kubeconfig ${file} can't be read: ${reasonOf(cause)}`, { cause });
  }
  return parseKubeconfig(text, { ...options, file });
}

/**
 * As `loadKubeconfig`, from text.
 * @param options.file what messages call it, and whose directory relative file names are relative to
 */
export function parseKubeconfig(text: string, options: KubeconfigOptions & { file: string }): ClientConfig {
  const { file } = options;
  const fail = (what: string): never => {
    throw new HostletError("ConfigInvalid", `kubeconfig ${file}: ${what}`);
  };
  let document: unknown;
  try {
    document = parse(text);
  } catch (cause) {
    fail(`is no YAML: ${reasonOf(cause).split("\n")[0]}`); // the cause quotes the file, and with it secrets
  }
  if (!isMapping(document)) return fail("is no kubeconfig: expected a mapping with clusters, users and contexts");
  const name = options.context ?? document["current-context"];
  if (typeof name !== "string" || name === "") {
    return fail(`has no current-context; set it, or choose one of: ${namesIn(document.contexts)}`);
  }
  const context = named(document, "contexts", "context", name);
  if (!context) return fail(`has no context "${name}"; it has: ${namesIn(document.contexts)}`);

  const at = new Fields(file, name);
  const clusterName = at.string(context, "context", "cluster") ?? at.fail("context.cluster", "is missing");
  const cluster = named(document, "clusters", "cluster", clusterName);
  if (!cluster)
    return at.fail("context.cluster", `names "${clusterName}"; clusters has: ${namesIn(document.clusters)}`);
  const userName = at.string(context, "context", "user");
  const user = userName === undefined ? {} : named(document, "users", "user", userName);
  if (!user) return at.fail("context.user", `names "${userName}"; users has: ${namesIn(document.users)}`);
  return {
    ...readCluster(cluster, at),
    ...readUser(user, cluster, at, options.now ?? Date.now()),
    ...at.optional("namespace", context, "context", "namespace"),
  };
}

function readCluster(cluster: Mapping, at: Fields): ClientConfig {
  const server = at.string(cluster, "cluster", "server") ?? at.fail("cluster.server", "is missing");
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol)) {
    at.fail("cluster.server", `is no https:// URL: ${server}`);
  }
  const insecure = cluster["insecure-skip-tls-verify"] ?? false;
  if (typeof insecure !== "boolean") return at.fail("cluster.insecure-skip-tls-verify", "is neither true nor false");
  const ca = at.pem(cluster, "cluster", "certificate-authority");
  if (ca !== undefined) {
    if (insecure) at.fail("cluster.insecure-skip-tls-verify", "is true although a certificate-authority is given");
    at.usable("cluster.certificate-authority", () => parseCertificates(ca));
  }
  const proxyUrl = at.string(cluster, "cluster", "proxy-url");
  if (proxyUrl !== undefined) parseProxy(proxyUrl, at.name("cluster.proxy-url"));
  return {
    server,
    ...(ca === undefined ? {} : { ca }),
    ...(insecure ? { insecureSkipTlsVerify: true } : {}),
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
    ...at.optional("tlsServerName", cluster, "cluster", "tls-server-name"),
  };
}

const unsupported: Record<string, string> = {
  username: "is not supported: no API server since Kubernetes 1.19 takes passwords",
  password: "is not supported: no API server since Kubernetes 1.19 takes passwords",
  "auth-provider": "is not supported: a credential plugin (user.exec) is what took its place",
  as: "is not supported",
};

function readUser(user: Mapping, cluster: Mapping, at: Fields, now: number): Partial<ClientConfig> {
  for (const [field, why] of Object.entries(unsupported)) {
    if (field in user) at.fail(`user.${field}`, `${why}; use a client certificate, a token, a tokenFile or exec`);
  }
  const cert = at.pem(user, "user", "client-certificate");
  const key = at.pem(user, "user", "client-key");
  if (cert !== undefined && key === undefined)
    at.fail("user.client-key", "is missing although a client-certificate is given");
  if (cert === undefined && key !== undefined)
    at.fail("user.client-certificate", "is missing although a client-key is given");
  if (cert !== undefined && key !== undefined) {
    const [own] = at.usable("user.client-certificate", () => parseCertificates(cert));
    at.usable("user.client-certificate", () => checkTime(own, now));
    at.usable("user.client-key", () => checkKey(key, own));
  }
  const tokenFile = at.string(user, "user", "tokenFile");
  const exec = readExecPlugin(user, cluster, at);
  return {
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...at.file("certFile", user, "user", "client-certificate"),
    ...at.file("keyFile", user, "user", "client-key"),
    ...at.optional("token", user, "user", "token"),
    ...(tokenFile === undefined ? {} : { tokenFile: at.path(tokenFile) }),
    ...(exec === undefined ? {} : { exec }),
  };
}

function named(document: Mapping, list: string, field: string, name: string): Mapping | undefined {
  const entries = document[list];
  if (!Array.isArray(entries)) return undefined;
  const entry: unknown = entries.find((candidate: unknown) => isMapping(candidate) && candidate.name === name);
  if (!isMapping(entry)) return undefined;
  const value = entry[field] ?? {};
  return isMapping(value) ? value : undefined;
}

function namesIn(list: unknown): string {
  const names = Array.isArray(list) ? list.filter(isMapping).map((entry) => String(entry.name)) : [];
  return names.length > 0 ? names.join(", ") : "none";
}
