import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { HostletError } from "../errors.ts";
import type { ClientConfig } from "../kube/clientConfig.ts";
import { inClusterConfig } from "../kube/inCluster.ts";
import { loadKubeconfig } from "../kube/kubeconfig.ts";
import type { Serving } from "../node/certificates/serving.ts";
import type { AgentIdentityKind } from "../node/nodeLabels.ts";

/** How a node is told to reach its cluster, and what it shows to those who ask it for logs. */
export interface AccessFlags {
  /** A directory that `hostlet admit` wrote: kubeconfig, serving.crt, serving.key, kubelet-ca.crt. */
  identity?: string;
  kubeconfig?: string;
  context?: string;
  tlsCertFile?: string;
  tlsPrivateKeyFile?: string;
  clientCaFile?: string;
  /** Makes a serving certificate that nobody can verify, where there is none. */
  selfSigned?: boolean;
  /** A kubeconfig with a bootstrap token: for the node's client certificate, where it has none yet. */
  bootstrapKubeconfig?: string;
  /** Renews the node's client certificate. */
  rotateCertificates?: boolean;
  /** Has the cluster issue the kubelet API's certificate, and renews it. */
  rotateServerCertificates?: boolean;
}

export interface Access {
  client: ClientConfig;
  /** `client` has but a bootstrap token; the node's kubeconfig is to be written here. */
  bootstrap?: { kubeconfig: string };
  identity: AgentIdentityKind;
  serving: Serving;
  /** To be said loudly. */
  warnings: string[];
}

/** @throws {HostletError} ConfigInvalid, naming the file and the flag */
export async function findAccess(
  flags: AccessFlags,
  env: NodeJS.ProcessEnv,
  home: string,
  names: string[],
  stateDir: string,
): Promise<Access> {
  const inIdentity = (name: string) => (flags.identity === undefined ? undefined : join(flags.identity, name));
  const kubeconfig = flags.kubeconfig ?? inIdentity("kubeconfig") ?? (env.KUBECONFIG || undefined);
  const bootstrap = bootstrapOf(flags, stateDir);
  const client = bootstrap ? loadKubeconfig(bootstrap.from) : findClient(kubeconfig, flags.context, env, home);
  const identity = bootstrap ? "node" : identityOf(client);

  const certFile = flags.tlsCertFile ?? inIdentity("serving.crt");
  const keyFile = flags.tlsPrivateKeyFile ?? inIdentity("serving.key");
  const caFile = flags.clientCaFile ?? inIdentity("kubelet-ca.crt");
  const clientCa = caFile === undefined ? client.ca : read(caFile, "--client-ca-file");
  if (clientCa === undefined) {
    throw new HostletError(
      "ConfigInvalid",
      "the kubeconfig names no CA: say with --client-ca-file which one signs the certificates of the kubelet API's clients",
    );
  }
  const warnings: string[] = [];
  const serving: Serving = { clientCa, ...(caFile !== undefined && { files: { clientCa: caFile } }) };
  if (flags.rotateServerCertificates) {
    if (identity !== "node") {
      throw new HostletError(
        "ConfigInvalid",
        "--rotate-server-certificates: the cluster issues serving certificates to system:node:NAME alone, and the kubeconfig is somebody else's; use `hostlet admit` or --bootstrap-kubeconfig",
      );
    }
    serving.request = true;
  } else if (certFile !== undefined && keyFile !== undefined) {
    serving.cert = read(certFile, "--tls-cert-file");
    serving.key = read(keyFile, "--tls-private-key-file");
    serving.files = { ...serving.files, cert: certFile, key: keyFile };
  } else if (flags.selfSigned) {
    Object.assign(serving, await selfSigned(names));
    warnings.push(
      "the kubelet API has a self-signed certificate: kubectl logs fails wherever the API server verifies it. `hostlet admit` gets one that it trusts",
    );
  } else if (identity === "node") {
    serving.request = true;
  } else {
    throw new HostletError(
      "ConfigInvalid",
      "the kubelet API needs a certificate: --identity DIR (made by `hostlet admit`), or --tls-cert-file and --tls-private-key-file, or --self-signed",
    );
  }
  if (flags.rotateCertificates && identity !== "node") {
    throw new HostletError(
      "ConfigInvalid",
      "--rotate-certificates: the kubeconfig has no client certificate of system:node:NAME that could be renewed",
    );
  }
  return { client, ...(bootstrap && { bootstrap: { kubeconfig: bootstrap.to } }), identity, serving, warnings };
}

/** From which kubeconfig to which; undefined where the node's own is there already. */
function bootstrapOf(flags: AccessFlags, stateDir: string): { from: string; to: string } | undefined {
  if (flags.bootstrapKubeconfig === undefined) return undefined;
  if (flags.identity !== undefined) {
    throw new HostletError("ConfigInvalid", "--bootstrap-kubeconfig: --identity has the node's certificates already");
  }
  return { from: flags.bootstrapKubeconfig, to: flags.kubeconfig ?? join(stateDir, "kubeconfig") };
}

async function selfSigned(names: string[]): Promise<{ cert: string; key: string }> {
  const { createAuthority } = await import("../pki/authority.ts");
  const from = Date.now() - 60_000;
  const until = from + 365 * 24 * 3600_000;
  const lifetime = { notBefore: from, notAfter: until };
  return createAuthority(from, until).issue({ commonName: names[0] ?? "hostlet", names, use: "server", ...lifetime });
}

function findClient(
  kubeconfig: string | undefined,
  context: string | undefined,
  env: NodeJS.ProcessEnv,
  home: string,
): ClientConfig {
  const options = context === undefined ? {} : { context };
  if (kubeconfig !== undefined) return loadKubeconfig(kubeconfig, options);
  const usual = join(home, ".kube/config");
  if (existsSync(usual)) return loadKubeconfig(usual, options);
  const inCluster = inClusterConfig(env);
  if (inCluster) return inCluster;
  throw new HostletError(
    "ConfigInvalid",
    `no cluster: give --kubeconfig FILE or --identity DIR (KUBECONFIG is not set, there is no ${usual}, and this is no pod)`,
  );
}

/** A client certificate of system:node:NAME is what NodeRestriction restricts; what else there is, RBAC decides. */
export function identityOf(client: ClientConfig): AgentIdentityKind {
  if (client.cert === undefined) return "other";
  return /^CN=system:node:/m.test(new X509Certificate(client.cert).subject) ? "node" : "other";
}

function read(file: string, flag: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new HostletError("ConfigInvalid", `${flag}: ${file} can't be read: ${(cause as Error).message}`, { cause });
  }
}
