import { chmodSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { HostletError } from "../../errors.ts";
import type { ClientConfig } from "../../kube/clientConfig.ts";
import type { KeyPair } from "../../pki/authority.ts";

/** What an identity directory holds, and `hostlet node --identity DIR` finds. */
export const identityFiles = {
  kubeconfig: "kubeconfig",
  servingCert: "serving.crt",
  servingKey: "serving.key",
  kubeletCa: "kubelet-ca.crt",
} as const;

export interface Identity {
  nodeName: string;
  /** The way to the cluster: the administrator's, without what says who that is. */
  cluster: ClientConfig;
  client: KeyPair;
  serving: KeyPair;
}

/**
 * The node's kubeconfig, with everything embedded. Holds the key: for files of mode 0600 alone.
 * @param pairFile names this file, which holds certificate and key and is renewed, in their place
 */
export function nodeKubeconfig({ nodeName, cluster, client }: Omit<Identity, "serving">, pairFile?: string): string {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const { server, ca, insecureSkipTlsVerify, tlsServerName, proxyUrl } = cluster;
  const user = `system:node:${nodeName}`;
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "default",
        cluster: {
          server,
          ...(ca === undefined ? {} : { "certificate-authority-data": base64(ca) }),
          ...(insecureSkipTlsVerify ? { "insecure-skip-tls-verify": true } : {}),
          ...(tlsServerName === undefined ? {} : { "tls-server-name": tlsServerName }),
          ...(proxyUrl === undefined ? {} : { "proxy-url": proxyUrl }),
        },
      },
    ],
    users: [
      {
        name: user,
        user: pairFile
          ? { "client-certificate": pairFile, "client-key": pairFile }
          : { "client-certificate-data": base64(client.cert), "client-key-data": base64(client.key) },
      },
    ],
    contexts: [{ name: "default", context: { cluster: "default", user } }],
    "current-context": "default",
  });
}

/**
 * Makes the directory, for its owner alone.
 * @throws {HostletError} PathNotOurs: others could read it, or it holds something that is no identity
 */
export function openIdentityDirectory(dir: string): void {
  if (mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(dir, 0o700);
  const { mode, uid } = statSync(dir);
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0) {
    const message = `${dir} would hold the node's keys, but others may read it: make it your own and run chmod 700 on it, or name another directory with --out`;
    throw new HostletError("PathNotOurs", message);
  }
  const entries = readdirSync(dir);
  if (entries.length > 0 && !entries.includes(identityFiles.servingCert)) {
    const message = `${dir} holds something else than a node's identity: name another directory with --out`;
    throw new HostletError("PathNotOurs", message);
  }
}

/** Each file is replaced at once. Without a CA in the kubeconfig there is none for the kubelet API's clients either. */
export function writeIdentity(dir: string, identity: Identity): void {
  const { cluster, serving } = identity;
  const put = (name: string, text: string, mode: number) => {
    const next = join(dir, `${name}.next`);
    writeFileSync(next, text, { mode });
    renameSync(next, join(dir, name));
  };
  put(identityFiles.servingCert, serving.cert, 0o644);
  put(identityFiles.servingKey, serving.key, 0o600);
  if (cluster.ca !== undefined) put(identityFiles.kubeletCa, cluster.ca, 0o644);
  put(identityFiles.kubeconfig, nodeKubeconfig(identity), 0o600);
}
