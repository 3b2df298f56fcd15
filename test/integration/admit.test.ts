import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createProgram } from "../../src/cli/program.ts";
import { systemClock } from "../../src/clock.ts";
import { createClient, type KubeClient } from "../../src/kube/client.ts";
import { loadKubeconfig } from "../../src/kube/kubeconfig.ts";
import { paths } from "../../src/kube/paths.ts";
import type { Node } from "../../src/kube/types.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { controlPlane, type TestControlPlane } from "./support/controlPlane.ts";
import { memoryIo } from "./support/memoryIo.ts";
import { startSigningFront } from "./support/signingFront.ts";

let cluster: TestControlPlane;
/** Where requests go, and who signs what is valid there. */
let access: { url: string; caPem: string; adminKubeconfig(): string };
let home = "";
const name = `admitted-${process.pid}`;
const stops: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  cluster = await controlPlane();
  stops.push(() => cluster.stop());
  access = cluster;
  if (cluster.version === "embedded") {
    const front = await startSigningFront(cluster);
    stops.push(() => front.stop());
    access = front;
  }
  home = mkdtempSync(join(tmpdir(), "hostlet-admit-"));
  stops.push(() => rmSync(home, { recursive: true, force: true }));
  writeFileSync(join(home, "admin"), access.adminKubeconfig(), { mode: 0o600 });
});

afterAll(async () => {
  await clientOf(join(home, "admin"))
    .delete(paths.nodes(name))
    .catch(() => {});
  for (const stop of stops.reverse()) await stop();
});

function clientOf(kubeconfig: string): KubeClient {
  const options = { log: silentLogger, clock: systemClock, userAgent: "hostlet-test" };
  const client = createClient(loadKubeconfig(kubeconfig), options);
  stops.push(() => client.close());
  return client;
}

/** `hostlet admit` as it is typed. */
async function admit(...flags: string[]): Promise<string> {
  const { io, stdout, stderr } = memoryIo({ HOME: home });
  expect(await createProgram(io).run(["admit", name, "--kubeconfig", join(home, "admin"), ...flags])).toBe(0);
  return stdout() + stderr();
}

const inIdentity = (file: string) => join(home, ".hostlet", name, file);
const certificateIn = (file: string) => new X509Certificate(readFileSync(inIdentity(file)));

test("a dry run prints three objects, and makes none of them", async () => {
  const output = await admit("--dry-run");
  expect(output.match(/^kind: .*$/gm)).toEqual([
    "kind: Node",
    "kind: CertificateSigningRequest",
    "kind: CertificateSigningRequest",
  ]);
  await expect(clientOf(join(home, "admin")).get(paths.nodes(name))).rejects.toMatchObject({ code: 404 });
});

test("a node is admitted: its kubeconfig is the node's, and its serving certificate is what the API server asks for", async () => {
  const output = await admit("--node-labels", "site=lab", "--node-taints", "a=b:NoExecute", "--ip", "127.0.0.1");
  expect(output).toContain(`node ${name} created`);
  expect(output).toContain(`hostlet node --node-name ${name} --identity ${inIdentity("").replace(/\/$/, "")}`);

  const node = await clientOf(inIdentity("kubeconfig")).get<Node>(paths.nodes(name));
  expect(node.metadata?.labels).toMatchObject({ site: "lab", "kubernetes.io/role": "agent", type: "virtual-kubelet" });
  const taints = node.spec?.taints?.map(({ key, effect }) => `${key}:${effect}`);
  expect(taints).toEqual(expect.arrayContaining(["virtual-kubelet.io/provider:NoSchedule", "a:NoExecute"]));

  const ca = new X509Certificate(access.caPem);
  const serving = certificateIn("serving.crt");
  expect(serving.verify(ca.publicKey)).toBe(true);
  expect(serving.subject).toBe(`O=system:nodes\nCN=system:node:${name}`);
  expect(serving.subjectAltName).toBe(`DNS:${name}, IP Address:127.0.0.1`);
  expect(readFileSync(inIdentity("kubelet-ca.crt"), "utf8").trim()).toBe(access.caPem.trim());
});

test("the node's identity has the rights of a node, and no more", async () => {
  const client = clientOf(inIdentity("kubeconfig"));
  await expect(client.delete(paths.nodes(name))).rejects.toMatchObject({ code: 403 });
});

test("run again, it renews the certificates and brings the Node up to date", async () => {
  const before = certificateIn("serving.crt").fingerprint256;
  expect(await admit("--node-labels", "site=other", "--ip", "127.0.0.1")).toMatch(
    new RegExp(`^node ${name} exists; set on it: label site=other \\(was "lab"\\)`),
  );
  expect(certificateIn("serving.crt").fingerprint256).not.toBe(before);
  const node = await clientOf(inIdentity("kubeconfig")).get<Node>(paths.nodes(name));
  expect(node.metadata?.labels?.site).toBe("other");
});
