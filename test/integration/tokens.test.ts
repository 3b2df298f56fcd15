import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { isNotFound } from "../../src/kube/apiError.ts";
import { createClient } from "../../src/kube/client.ts";
import { paths } from "../../src/kube/paths.ts";
import type { ConfigMap, Pod, PodSpec, Secret, ServiceAccount, TokenRequest } from "../../src/kube/types.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { TestNode, until } from "./support/node.ts";

let node: TestNode;

beforeAll(async () => {
  node = await TestNode.start({}, { embedded: { automountTokens: true } });
  if (node.cluster.version !== "embedded") await allowReading();
});

afterAll(() => node.stop());

/** A real API server lets a service account do nothing by itself. */
async function allowReading(): Promise<void> {
  await node.client.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    metadata: { generateName: "hostlet-tokens-" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "system:serviceaccounts:default" }],
  });
}

const podPath = (name: string) => paths.pods("default", name);
const accountDir = "var/run/secrets/kubernetes.io/serviceaccount";

/** Asks the API server for a path as whoever has the token. */
async function ask<T>(token: string, path: string): Promise<T> {
  const access = { server: node.cluster.url, ca: node.cluster.caPem, token };
  const client = createClient(access, { log: silentLogger, clock: systemClock, userAgent: "hostlet-test" });
  try {
    return await client.get<T>(path);
  } finally {
    client.close();
  }
}

/** Whether the API server says that it does not know whose token it is. */
function isUnknown(token: string): Promise<boolean> {
  return ask(token, paths.nodes()).then(
    () => false,
    (error) => error.code === 401,
  );
}

function isNotYet(error: unknown): false {
  if (isNotFound(error)) return false;
  throw error;
}

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString());
}

async function account(name: string, more: Partial<ServiceAccount> = {}): Promise<void> {
  await node.client.create<ServiceAccount>(paths.serviceAccounts("default"), { metadata: { name }, ...more });
}

/** A pod that asks for the token itself: before 1.21 the automatic one is of another kind. */
const asking = (serviceAccountName: string): Partial<PodSpec> => ({
  serviceAccountName,
  automountServiceAccountToken: false,
  volumes: [{ name: "own", projected: { sources: [{ serviceAccountToken: { path: "token" } }] } }],
  containers: [{ name: "main", volumeMounts: [{ name: "own", mountPath: "/own" }] }],
});

async function tokenVolumes(pod: Promise<Pod>): Promise<string[]> {
  const { spec } = await pod;
  return (spec?.volumes ?? []).map(({ name }) => name);
}

test("a pod's script reads its token and asks the API server for its own pod", async () => {
  const script = `
    const { readFileSync } = require("node:fs");
    const [token, namespace] = ["token", "namespace"].map((file) => readFileSync("${accountDir}/" + file, "utf8"));
    const url = process.env.SERVER + "/api/v1/namespaces/" + namespace + "/pods/" + process.env.HOSTLET_POD_NAME;
    fetch(url, { headers: { authorization: "Bearer " + token } })
      .then((answer) => answer.json())
      .then((pod) => console.log(pod.metadata.uid));`;
  const env = [
    { name: "SERVER", value: node.cluster.url },
    { name: "NODE_EXTRA_CA_CERTS", value: `${accountDir}/ca.crt` },
  ];
  const containers = [{ name: "main", command: [process.execPath, "-e", script], env }];
  const { metadata } = await node.run("asks", "", { containers });
  expect((await node.ended("asks")).status?.phase).toBe("Succeeded");
  expect((await node.logs("asks")).trim()).toBe(metadata?.uid);
});

test("the token is the pod's alone: bound to it, and worth nothing when it is gone", async () => {
  await account("builder");
  const { metadata } = await node.run("bound", "sleep 60", asking("builder"));
  await node.running("bound");
  const token = readFileSync(node.path("bound", "containers", "main", "own", "token"), "utf8");
  expect(claimsOf(token)).toMatchObject({
    sub: "system:serviceaccount:default:builder",
    "kubernetes.io": { namespace: "default", pod: { name: "bound", uid: metadata?.uid } },
  });
  expect((await ask<Pod>(token, podPath("bound"))).metadata?.uid).toBe(metadata?.uid);
  await node.deleteNow("bound");
  await node.gone("bound");
  // A real API server remembers for ten seconds whose token it was.
  await until(() => isUnknown(token), "the token outlives its pod");
});

test("a token that a projected volume asks for is for its audience, and nobody else", async () => {
  const source = { path: "vault-token", audience: "vault", expirationSeconds: 600 };
  await node.run("audience", "sleep 60", {
    automountServiceAccountToken: false,
    volumes: [{ name: "vault", projected: { sources: [{ serviceAccountToken: source }] } }],
    containers: [{ name: "main", volumeMounts: [{ name: "vault", mountPath: "/vault" }] }],
  });
  await node.running("audience");
  const token = readFileSync(node.path("audience", "projected", "vault", "vault-token"), "utf8");
  const { aud, exp, iat } = claimsOf(token) as { aud: string[]; exp: number; iat: number };
  expect({ aud, life: exp - iat }).toEqual({ aud: ["vault"], life: 600 });
  await expect(ask(token, podPath("audience"))).rejects.toMatchObject({ code: 401 });
  await node.deleteNow("audience");
});

test.each<[string, string, Partial<PodSpec>, number]>([
  ["gets a volume with the token", "default", {}, 1],
  ["that says no gets none", "default", { automountServiceAccountToken: false }, 0],
  ["gets none where its service account says no", "shy", {}, 0],
  ["that says yes gets one though its service account says no", "shy", { automountServiceAccountToken: true }, 1],
])("a pod %s", async (_what, serviceAccountName, spec, count) => {
  if (serviceAccountName === "shy") await account("shy", { automountServiceAccountToken: false }).catch(() => {});
  const name = `automount-${serviceAccountName}-${count}`;
  const names = await tokenVolumes(node.run(name, `test -e ${accountDir}/token`, { ...spec, serviceAccountName }));
  expect(names.filter((volume) => /^(kube-api-access|default-token|shy-token)-[a-z0-9]{5}$/.test(volume))).toHaveLength(
    count,
  );
  expect((await node.ended(name)).status?.phase).toBe(count === 1 ? "Succeeded" : "Failed");
});

test("the Secret volumes of old clusters, default-token-*, are Secrets like any other", async () => {
  const data = { token: "b2xk", namespace: Buffer.from("default").toString("base64") };
  const metadata = { name: "default-token-x7k2p", annotations: { "kubernetes.io/service-account.name": "default" } };
  const type = "kubernetes.io/service-account-token";
  await node.client.create<Secret>(paths.secrets("default"), { metadata, type, data });
  await node.run("old-token", `cat ${accountDir}/token ${accountDir}/namespace`, {
    automountServiceAccountToken: true,
    volumes: [{ name: "default-token-x7k2p", secret: { secretName: "default-token-x7k2p", defaultMode: 420 } }],
    containers: [
      { name: "main", volumeMounts: [{ name: "default-token-x7k2p", readOnly: true, mountPath: `/${accountDir}` }] },
    ],
  });
  await node.ended("old-token");
  expect(await node.logs("old-token")).toBe("olddefault");
});

test("a pod of a service account that does not exist is refused", async () => {
  await expect(node.run("nobody", "true", { serviceAccountName: "nobody" })).rejects.toMatchObject({
    code: 403,
    message: expect.stringContaining(
      'error looking up service account default/nobody: serviceaccount "nobody" not found',
    ),
  });
});

test("a service account that is deleted meanwhile is waited for, and the pod's author learns why", async () => {
  await account("late");
  await node.run("waits", "true", { ...asking("late"), schedulerName: "nobody" });
  await node.client.delete(paths.serviceAccounts("default", "late"));
  const target = { kind: "Node", name: node.config.nodeName };
  await node.client.create(paths.pods("default", "waits", "binding"), { metadata: { name: "waits" }, target });
  const { message } = await node.event("waits", "FailedMount");
  expect(message).toContain(`couldn't get a token of service account "late"`);
  expect(message).toContain(`serviceaccounts "late" not found`);
  await account("late");
  expect((await node.ended("waits")).status?.phase).toBe("Succeeded");
});

test("each new namespace has a service account and the CA, as kubectl create token finds them", async () => {
  await node.client.create(paths.namespaces(), { metadata: { name: "fresh" } });
  const basics = [paths.configMaps("fresh", "kube-root-ca.crt"), paths.serviceAccounts("fresh", "default")];
  const found = () => Promise.all(basics.map((path) => node.client.get<ConfigMap>(path)));
  await until(() => found().then(() => true, isNotYet), "the namespace stays empty");
  const [ca] = await found();
  expect(ca?.data).toEqual({ "ca.crt": node.cluster.caPem });
  const path = paths.serviceAccounts("fresh", "default", "token");
  const { status } = await node.client.create<Partial<TokenRequest>>(path, { spec: { audiences: [] } });
  expect(claimsOf(status!.token).sub).toBe("system:serviceaccount:fresh:default");
  await node.client.delete(paths.namespaces("fresh"));
  await until(() => isUnknown(status!.token), "the token outlives its service account");
});
