import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { node as nodeCommand } from "../../src/cli/node.ts";
import { systemClock } from "../../src/clock.ts";
import { createClient, type KubeClient } from "../../src/kube/client.ts";
import { parseKubeconfig } from "../../src/kube/kubeconfig.ts";
import { paths, resourcePath } from "../../src/kube/paths.ts";
import type { CertificateSigningRequest, Pod } from "../../src/kube/types.ts";
import { approved, issuanceOf } from "../../src/node/admit/issuance.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { admin, kubeconfig } from "../integration/support/clusterAccess.ts";
import { realControlPlane } from "../integration/support/controlPlane.ts";
import { type MemoryIo, memoryIo } from "../integration/support/memoryIo.ts";
import { until } from "../integration/support/node.ts";
import { RealControlPlane } from "../integration/support/realControlPlane.ts";
import { Kubectl } from "./support/kubectl.ts";

/** Certificates that have a minute left: their renewal is seen. Old signers count the five minutes that they backdate, too. */
const lifetime = inject("controlPlane")!.version.startsWith("1.20.") ? "360s" : "60s";
const requests = resourcePath({ group: "certificates.k8s.io", resource: "certificatesigningrequests" });

let plane: RealControlPlane;
let client: KubeClient;
let kubectl: Kubectl;
let home: string;
let memory: MemoryIo;
let code: Promise<number>;

beforeAll(async () => {
  const { version, programs } = inject("controlPlane")!;
  plane = await RealControlPlane.start({ version, programs, signingDuration: lifetime });
  home = mkdtempSync(join(tmpdir(), "hostlet-certificates-"));
  const access = parseKubeconfig(kubeconfig(plane.keys, admin), { file: "of the test" });
  client = createClient(access, { log: silentLogger, clock: systemClock, userAgent: "hostlet-test" });
  kubectl = new Kubectl(realControlPlane({ version, programs, keys: plane.keys, auditLog: plane.auditLog }));
  await applyBootstrap();
  memory = memoryIo({ HOME: home });
  code = start();
});
afterAll(async () => {
  memory?.send("SIGTERM");
  await code?.catch(() => {});
  kubectl?.stop();
  client?.close();
  await plane?.stop();
  if (home) rmSync(home, { recursive: true, force: true });
});

/** What kubeadm sets up: a token, the right to ask, and the approval of nodes' client certificates; and nothing of serving ones. */
async function applyBootstrap(): Promise<void> {
  const bind = (role: string, group: string) => ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: `bootstrap-${role.split(":").at(-1)}` },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: group }],
  });
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "bootstrap-token-abcdef", namespace: "kube-system" },
    type: "bootstrap.kubernetes.io/token",
    stringData: {
      "token-id": "abcdef",
      "token-secret": "0123456789abcdef",
      "usage-bootstrap-authentication": "true",
    },
  };
  const items = [
    secret,
    bind("system:node-bootstrapper", "system:bootstrappers"),
    bind("system:certificates.k8s.io:certificatesigningrequests:nodeclient", "system:bootstrappers"),
    bind("system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", "system:nodes"),
  ];
  const file = join(home, "bootstrap.json");
  writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  await kubectl.output("apply", "-f", file);
  writeFileSync(
    join(home, "bootstrap.kubeconfig"),
    JSON.stringify({
      "current-context": "c",
      clusters: [
        {
          name: "c",
          cluster: {
            server: plane.keys.url,
            "certificate-authority-data": Buffer.from(plane.keys.caPem).toString("base64"),
          },
        },
      ],
      users: [{ name: "u", user: { token: "abcdef.0123456789abcdef" } }],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    }),
    { mode: 0o600 },
  );
}

const stateDir = () => join(home, "state");
const clientFile = () => join(stateDir(), "pki", "hostlet-client-current.pem");

function start(): Promise<number> {
  const running = nodeCommand(
    {
      nodeName: "n1",
      nodeIP: "127.0.0.1",
      kubeletPort: "0",
      healthzPort: "0",
      stateDir: stateDir(),
      podsDir: join(home, "pods"),
      disableTaint: true,
      logLevel: "silent",
      bootstrapKubeconfig: join(home, "bootstrap.kubeconfig"),
      rotateCertificates: true,
    },
    memory.io,
  );
  running.catch(() => {});
  return running;
}

const port = () => Number(/its kubelet API is on port (\d+)/.exec(memory.stdout())?.[1]);

/** What the kubelet API shows, verified; undefined where it has none. */
function served(): Promise<X509Certificate | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port: port(), ca: plane.keys.caPem }, () => {
      resolve(socket.getPeerX509Certificate());
      socket.destroy();
    });
    socket.on("error", () => resolve(undefined));
  });
}

const pending = async () =>
  (await client.list<CertificateSigningRequest>(requests)).items.filter(
    (csr) => issuanceOf(csr).state === "unapproved",
  );

async function approvePending(): Promise<void> {
  for (const csr of await pending()) {
    const path = `${requests}/${csr.metadata?.name}/approval`;
    await client.update(path, approved(csr, Date.now())).catch(() => {}); // its node may be faster
  }
}

test("a node joins with nothing but a bootstrap token, and has its own identity from then on", async () => {
  await Promise.race([memory.shows("is Ready at"), code.then(() => Promise.reject(new Error(memory.stderr())))]);
  expect(memory.stderr()).toContain("the node has its client certificate");
  const own = new X509Certificate(readFileSync(clientFile()));
  expect(own.subject).toBe("O=system:nodes\nCN=system:node:n1");
  expect(statSync(clientFile()).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(stateDir(), "kubeconfig"), "utf8")).not.toContain("0123456789abcdef");
});

test("its serving certificate waits for an administrator, who approves it; then kubectl logs works, verified", async () => {
  await until(async () => (await pending()).length > 0, "no serving certificate was asked for");
  expect(await served()).toBeUndefined();
  const [csr] = await pending();
  expect(csr?.spec).toMatchObject({ signerName: "kubernetes.io/kubelet-serving", username: "system:node:n1" });
  await kubectl.output("certificate", "approve", csr?.metadata?.name ?? "");
  await until(async () => (await served()) !== undefined, "the certificate that was approved is not served");
  const script = ["sh", "-c", "echo hello; exec sleep 600"];
  await client.create<Pod>(paths.pods("default"), {
    metadata: { name: "p" },
    spec: {
      nodeName: "n1",
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "main", image: "none", command: script }],
    },
  });
  await until(async () => (await kubectl.run("logs", "p")).stdout === "hello\n", "kubectl logs shows nothing");
});

test("both certificates are renewed before they end, and the node works on with the new ones", async () => {
  const first = await served();
  const firstClient = readFileSync(clientFile(), "utf8");
  // Past the end of the first ones: their notBefore lies back, so they are renewed at any time of their minute.
  const end = Date.now() + 75_000;
  let gaps = 0;
  while (Date.now() < end) {
    await approvePending();
    if ((await served()) === undefined) gaps++;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  expect(gaps).toBe(0);
  expect((await served())?.serialNumber).not.toBe(first?.serialNumber);
  expect(readFileSync(clientFile(), "utf8")).not.toBe(firstClient);
  await until(async () => (await kubectl.run("logs", "p")).stdout === "hello\n", "kubectl logs shows nothing any more");
  await kubectl.output("delete", "pod", "p", "--wait=true", "--timeout=30s");
});
