import { createAuthority, type KeyPair, loadAuthority } from "../../../src/pki/authority.ts";

const day = 24 * 3_600_000;

/** What it takes to be anybody in a test's cluster; plain data, as it goes from one process to another. */
export interface ClusterKeys {
  /** Of the API server. */
  url: string;
  caPem: string;
  caKeyPem: string;
}

export interface Person {
  commonName: string;
  organizations?: string[];
}

export const admin: Person = { commonName: "kubernetes-admin", organizations: ["system:masters"] };
export const node = (name: string): Person => ({ commonName: `system:node:${name}`, organizations: ["system:nodes"] });

/** Keys for a cluster that is to be started at `url`. */
export function createKeys(url: string): ClusterKeys {
  const { caPem, keyPem } = createAuthority(Date.now() - day, Date.now() + day);
  return { url, caPem, caKeyPem: keyPem };
}

export function clientPair(keys: ClusterKeys, person: Person): KeyPair {
  return issue(keys, { ...person, use: "client" });
}

/** @param names DNS names and IP addresses */
export function servingPair(keys: ClusterKeys, names: string[]): KeyPair {
  return issue(keys, { commonName: names[0] ?? "server", names, use: "server" });
}

/** A complete kubeconfig with a client certificate: a secret. */
export function kubeconfig(keys: ClusterKeys, person: Person): string {
  const { cert, key } = clientPair(keys, person);
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [{ name: "test", cluster: { server: keys.url, "certificate-authority-data": base64(keys.caPem) } }],
    users: [{ name: "test", user: { "client-certificate-data": base64(cert), "client-key-data": base64(key) } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
  });
}

function issue(keys: ClusterKeys, request: Person & { names?: string[]; use: "client" | "server" }): KeyPair {
  const authority = loadAuthority({ cert: keys.caPem, key: keys.caKeyPem });
  return authority.issue({ ...request, notBefore: Date.now() - day, notAfter: Date.now() + day });
}
