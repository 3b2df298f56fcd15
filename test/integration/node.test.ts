import { createServer } from "node:net";
import { cpus } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { paths } from "../../src/kube/paths.ts";
import type { Lease, Pod } from "../../src/kube/types.ts";
import { createAuthority } from "../../src/pki/authority.ts";
import { until } from "./support/node.ts";
import { NodeCluster, readyCondition } from "./support/nodeCommand.ts";

let home: NodeCluster;
beforeEach(async () => {
  home = await NodeCluster.start();
  home.kubeconfig();
});
afterEach(() => home.stop());

const exitCodes = (pod: Pod) => pod.status?.containerStatuses?.map(({ state }) => state?.terminated?.exitCode);

/** Takes the API server's place until somebody has asked, and answers nobody. */
function knock(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const deaf = createServer((socket) => {
      socket.destroy();
      deaf.close(() => resolve(true));
    }).listen(port, "127.0.0.1");
  });
}

test("a Node is Ready, and shows what it is and has", async () => {
  const { memory, code, ready } = home.node({
    nodeLabels: "site=here,tier=batch",
    nodeTaints: "dedicated=x:NoExecute",
    disableTaint: false,
    memory: "3Gi",
    maxPods: "7",
  });
  await ready();
  const { metadata, spec, status } = await home.getNode();
  expect(metadata?.labels).toMatchObject({ site: "here", tier: "batch", "kubernetes.io/role": "agent" });
  expect(Object.keys(metadata?.labels ?? {})).not.toContain("jiriaf.alivetime");
  expect(spec?.taints).toEqual([
    { key: "virtual-kubelet.io/provider", value: "mock", effect: "NoSchedule" },
    { key: "dedicated", value: "x", effect: "NoExecute" },
  ]);
  expect(status?.capacity).toMatchObject({ cpu: String(cpus().length), memory: "3Gi", pods: "7" });
  expect(status?.addresses).toContainEqual({ type: "InternalIP", address: "127.0.0.1" });
  expect(status?.nodeInfo?.containerRuntimeVersion).toMatch(/^process:\/\//);
  expect(status?.daemonEndpoints?.kubeletEndpoint?.Port).toBe(Number(/port (\d+)/.exec(memory.stdout())?.[1]));
  memory.send("SIGTERM");
  expect(await code).toBe(0);
});

test("takes pods of the allowed namespaces alone", async () => {
  await home.client.create(paths.namespaces(), { metadata: { name: "ours" } });
  await home.node({ allowNamespaces: "ours,theirs" }).ready();
  await home.sleeper("a");
  await home.sleeper("b", { namespace: "ours" });
  await home.running("b", "ours");
  const other = await home.client.get<Pod>(paths.pods("default", "a"));
  expect([other.spec?.nodeName, other.status?.phase]).toEqual(["n1", "Pending"]);
});

test("a cluster that is away at the start is waited for", async () => {
  const port = await home.stopCluster();
  const { memory, code, ready } = home.node();
  await knock(port);
  await home.startCluster(port);
  await ready();
  memory.send("SIGTERM");
  expect(await code).toBe(0);
});

test("gives up on a cluster that stays away when told how long to wait", async () => {
  const port = await home.stopCluster();
  expect(await home.node({ startupTimeout: "300ms" }).code).toBe(124);
  await home.startCluster(port);
});

test("an API server in trouble at the start is asked again", async () => {
  for (const fault of [
    { kind: "reset" },
    { kind: "status", status: 500 },
    { kind: "status", status: 429, retryAfter: 1 },
    { kind: "half" },
  ] as const) {
    home.cluster.faults.add({ match: () => true, ...fault });
  }
  await home.node().ready();
  expect(readyCondition(await home.getNode())).toMatchObject({ status: "True" });
});

test("a signal ends the waiting for a cluster", async () => {
  const port = await home.stopCluster();
  const { memory, code } = home.node();
  const knocked = await knock(port);
  memory.send("SIGTERM");
  expect([knocked, await code]).toEqual([true, 143]);
  await home.startCluster(port);
});

describe("refuses to start", () => {
  const day = 86_400_000;
  const expired = () => {
    const authority = createAuthority(Date.now() - 3 * day, Date.now() + day);
    const times = { notBefore: Date.now() - 2 * day, notAfter: Date.now() - day };
    return authority.issue({ commonName: "x", names: [], use: "client", ...times });
  };
  const base64 = (text: string) => Buffer.from(text).toString("base64");

  test.each<[string, (text: string) => string, string, RegExp]>([
    ["a kubeconfig that is no YAML", () => "a: [", "ConfigInvalid", /kubeconfig .*bad: is no YAML/],
    ["an empty one", () => "", "ConfigInvalid", /bad: is no kubeconfig/],
    [
      "one without a context",
      (text) => text.replace(/^current-context:.*$/m, ""),
      "ConfigInvalid",
      /has no current-context.*hostlet/,
    ],
    [
      "a user that isn't there",
      (text) => text.replace(/^( +user: )kube.*$/m, "$1nobody"),
      "ConfigInvalid",
      /names "nobody"/,
    ],
    [
      "an expired certificate",
      (text) => {
        const { cert, key } = expired();
        const user = `user:\n      client-certificate-data: ${base64(cert)}\n      client-key-data: ${base64(key)}`;
        return text.replace(/user:\n\s+token: .*$/m, user);
      },
      "ConfigInvalid",
      /client-certificate.*expired/,
    ],
    [
      "a key that can't be read",
      (text) => {
        const { cert } = expired();
        const user = `user:\n      client-certificate-data: ${base64(cert)}\n      client-key: ./no-such.key`;
        return text.replace(/user:\n\s+token: .*$/m, user);
      },
      "ConfigInvalid",
      /no-such\.key/,
    ],
    [
      "the CA of another cluster",
      (text) =>
        text.replace(
          /(certificate-authority-data: ).*$/m,
          `$1${base64(createAuthority(Date.now() - day, Date.now() + day).caPem)}`,
        ),
      "ApiFailed",
      /certificate/,
    ],
    [
      "a token that is none of this cluster's",
      (text) => text.replace(/token: .*$/m, "token: wrong"),
      "ApiFailed",
      /401|Unauthorized/,
    ],
    ["a server that is no URL", (text) => text.replace(/server: .*$/m, "server: here"), "ConfigInvalid", /no https/],
  ])("with %s", async (_, change, errorCode, message) => {
    const kubeconfig = home.kubeconfig("bad", change);
    const { code } = home.node({ kubeconfig });
    await expect(code).rejects.toMatchObject({ code: errorCode, message: expect.stringMatching(message) });
  });

  test("without a file, and says which", async () => {
    const { code } = home.node({ kubeconfig: join(home.dir, "nowhere") });
    await expect(code).rejects.toMatchObject({ code: "ConfigInvalid", message: expect.stringContaining("nowhere") });
  });

  test.each([
    [{ nodeName: "Not_A_Name" }, /nodeName|node-name/],
    [{ onExit: "explode" }, /--on-exit/],
    [{ walltime: "soon" }, /--walltime/],
    [{ walltime: "10s", walltimeMargin: "20s" }, /--walltime-margin: must be shorter/],
    [{ selfSigned: false }, /hostlet admit/],
    [{ tlsCertFile: "/no/such.crt", tlsPrivateKeyFile: "/no/such.key" }, /--tls-cert-file: \/no\/such\.crt/],
  ])("with %j", async (flags, message) => {
    await expect(home.node(flags).code).rejects.toMatchObject({
      code: "ConfigInvalid",
      message: expect.stringMatching(message),
    });
  });
});

test("a second agent of the name is refused while the first lives, and welcome when it has left", async () => {
  const first = home.node();
  await first.ready();
  const lease = paths.leases("kube-node-lease", "n1");
  await until(
    () =>
      home.client.get<Lease>(lease).then(
        () => true,
        () => false,
      ),
    "no Lease",
  );
  const elsewhere = { stateDir: join(home.dir, "elsewhere") };
  await expect(home.node(elsewhere).code).rejects.toMatchObject({
    code: "NodeNameTaken",
    exitCode: 3,
    message: expect.stringContaining("n1 belongs to another agent"),
  });
  await expect(home.node().code).rejects.toMatchObject({ code: "StateLocked", exitCode: 3 });
  first.memory.send("SIGTERM");
  expect(await first.code).toBe(0);
  const second = home.node(elsewhere);
  await second.ready();
});

describe("at SIGTERM", () => {
  test("leaves pods running for the next agent, which learns how they end", async () => {
    const first = home.node();
    await first.ready();
    await home.sleeper("a", { script: "trap 'exit 7' TERM; while :; do sleep 0.05; done" });
    const before = await home.running("a");
    first.memory.send("SIGTERM");
    expect(await first.code).toBe(0);
    expect(first.memory.stderr()).toContain("1 pod runs on");
    const left = await home.client.get<Pod>(paths.pods("default", "a"));
    expect(left.status?.phase).toBe("Running");

    await home.node().ready();
    await home.client.patch(paths.pods("default", "a"), { spec: { activeDeadlineSeconds: 1 } }, "strategic");
    const ended = await home.untilPod("a", ({ status }) => status?.phase === "Failed");
    expect(ended.status?.containerStatuses?.[0]?.containerID).toBe(before.status?.containerStatuses?.[0]?.containerID);
    expect(exitCodes(ended)).toEqual([7]);
  });

  test("--drain-on-exit ends them, and says why", async () => {
    const { memory, code, ready } = home.node({ drainOnExit: true });
    await ready();
    await home.sleeper("a", { script: "trap 'exit 3' TERM; while :; do sleep 0.05; done" });
    await home.running("a");
    memory.send("SIGTERM");
    expect(await code).toBe(0);
    const { status } = await home.client.get<Pod>(paths.pods("default", "a"));
    expect(status).toMatchObject({ phase: "Failed", reason: "Terminated", message: "The node is shutting down" });
    expect(status?.conditions).toContainEqual(
      expect.objectContaining({ type: "DisruptionTarget", status: "True", reason: "TerminationByKubelet" }),
    );
    expect(status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(3);
    const node = await home.getNode();
    expect(node.spec?.unschedulable).toBe(true);
    expect(readyCondition(node)).toMatchObject({ status: "False", reason: "NodeShutdown" });

    const next = home.node();
    await next.ready();
    const opened = await home.getNode();
    expect(opened.spec?.unschedulable).toBeUndefined();
    expect(readyCondition(opened)).toMatchObject({ status: "True" });
  });

  test("a second signal cuts the drain short", async () => {
    const { memory, code, ready } = home.node({ drainOnExit: true });
    await ready();
    await home.sleeper("a", { script: "trap '' TERM; while :; do sleep 0.05; done" });
    await home.running("a");
    memory.send("SIGTERM");
    await memory.shows("ending 1 pod");
    memory.send("SIGTERM");
    expect(await code).toBe(0);
  });

  test("--on-exit=delete-node removes the Node", async () => {
    const { memory, code, ready } = home.node({ onExit: "delete-node" });
    await ready();
    memory.send("SIGTERM");
    expect(await code).toBe(0);
    await expect(home.getNode()).rejects.toMatchObject({ code: 404 });
  });
});
