import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadKubeconfig } from "../../kube/kubeconfig.ts";
import { createAuthority } from "../../pki/authority.ts";
import { type Identity, openIdentityDirectory, writeIdentity } from "./identityFiles.ts";

let root = "";
let dir = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hostlet-identity-"));
  dir = join(root, "a/n1");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const authority = createAuthority(Date.now() - 60_000, Date.now() + 3_600_000);
const issue = (use: "client" | "server") =>
  authority.issue({ commonName: use, use, notBefore: Date.now() - 60_000, notAfter: Date.now() + 3_600_000 });
const identity = (cluster: Partial<Identity["cluster"]> = {}): Identity => ({
  nodeName: "n1",
  cluster: { server: "https://api:6443", ca: authority.caPem, ...cluster },
  client: issue("client"),
  serving: issue("server"),
});
const modeOf = (name: string) => (statSync(join(dir, name)).mode & 0o777).toString(8);

test("what is written is what an agent reads, and keys are their owner's alone", () => {
  const given = identity({ proxyUrl: "http://u:p@proxy:1", tlsServerName: "kube", token: "admin", namespace: "x" });
  openIdentityDirectory(dir);
  writeIdentity(dir, given);
  expect(loadKubeconfig(join(dir, "kubeconfig"))).toEqual({
    server: "https://api:6443",
    ca: authority.caPem,
    proxyUrl: "http://u:p@proxy:1",
    tlsServerName: "kube",
    ...given.client,
  });
  const read = (name: string) => readFileSync(join(dir, name), "utf8");
  expect({ cert: read("serving.crt"), key: read("serving.key") }).toEqual(given.serving);
  expect(read("kubelet-ca.crt")).toBe(authority.caPem);
  expect(["", "kubeconfig", "serving.key"].map(modeOf)).toEqual(["700", "600", "600"]);
});

test("an identity is replaced by the next one", () => {
  for (const given of [identity(), identity()]) {
    openIdentityDirectory(dir);
    writeIdentity(dir, given);
    expect(loadKubeconfig(join(dir, "kubeconfig")).cert).toBe(given.client.cert);
  }
  expect(readdirSync(dir).sort()).toEqual(["kubeconfig", "kubelet-ca.crt", "serving.crt", "serving.key"]);
});

test("without a CA in the kubeconfig there is none for clients", () => {
  openIdentityDirectory(dir);
  const { cluster, ...given } = identity();
  writeIdentity(dir, { ...given, cluster: { server: cluster.server } });
  expect(readdirSync(dir)).not.toContain("kubelet-ca.crt");
});

test("a directory that others may read is refused", () => {
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o750);
  expect(() => openIdentityDirectory(dir)).toThrow(/others may read it.*chmod 700/);
});

test("a directory that holds something else is refused: a node may be called `up`", () => {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, "kubeconfig"), "of hostlet up");
  expect(() => openIdentityDirectory(dir)).toThrow(/something else than a node's identity/);
});
