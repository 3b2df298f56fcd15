import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { NodeConfig } from "../config/nodeConfig.ts";
import type { Lease, Node } from "../kube/types.ts";
import { silentLogger } from "../telemetry/log.ts";
import { ManualClock } from "../testing/manualClock.ts";
import { turns, until } from "../testing/turns.ts";
import { Registration, type RegistrationOptions, walltimeReason } from "./registration.ts";
import { testConfig, testFacts } from "./testing/config.ts";
import { apiError, FakeClient, type FakeRequest, networkError } from "./testing/fakeClient.ts";

const nodes = "/api/v1/nodes";
const lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

let clock: ManualClock;
let client: FakeClient;
let abort: AbortController;
let node: Node | undefined;
let renewals: (string | undefined)[];
let leaseOwner: string | undefined;
/** As it is found at the start. */
let foreignLease: Lease | undefined;
let uid: number;
/** While it is set, every request fails with it. */
let away: Error | undefined;

/** What an API server does with these requests. */
function serve({ method, path, body }: FakeRequest): unknown {
  if (away) return away;
  const sent = body as Node & Lease;
  if (path === nodes) {
    if (node) return apiError(409, "AlreadyExists");
    node = { ...sent, metadata: { ...sent.metadata, uid: `node-${++uid}` } };
    return node;
  }
  if (path.startsWith(`${nodes}/n1`)) {
    if (!node) return apiError(404, "NotFound");
    if (method === "GET") return node;
    if (method === "DELETE") {
      node = undefined;
      return {};
    }
    const labels = { ...node.metadata?.labels, ...sent.metadata?.labels };
    node = { ...node, ...sent, metadata: { ...node.metadata, labels } };
    return node;
  }
  // the garbage collector takes what belongs to a Node that is no more
  if (leaseOwner !== node?.metadata?.uid) leaseOwner = undefined;
  if (method === "GET") return foreignLease ?? apiError(404, "NotFound");
  if (method === "PATCH" && leaseOwner === undefined) return apiError(404, "NotFound");
  if (method === "POST") leaseOwner = sent.metadata?.ownerReferences?.[0]?.uid;
  renewals.push(sent.spec?.renewTime);
  return {};
}

const registrationOf = (config: Partial<NodeConfig> = {}, more: Partial<RegistrationOptions> = {}) =>
  new Registration({
    client,
    config: testConfig(config),
    identity: "other",
    agentID: "agent-1",
    facts: testFacts,
    ip: "10.1.2.3",
    port: () => 10250,
    runtimeVersion: "process://1",
    clock,
    log: silentLogger,
    signal: abort.signal,
    ...more,
  });

const start = (config: Partial<NodeConfig> = {}, more: Partial<RegistrationOptions> = {}) =>
  registrationOf(config, more).start();

beforeEach(() => {
  clock = new ManualClock();
  client = new FakeClient();
  client.respond = serve;
  abort = new AbortController();
  node = undefined;
  uid = 0;
  leaseOwner = undefined;
  foreignLease = undefined;
  away = undefined;
  renewals = [];
});
afterEach(() => {
  abort.abort();
  expect(clock.pending).toBe(0);
});

const ready = () => node?.status?.conditions?.find((c) => c.type === "Ready");
/** Moves on to the next timer, until the condition holds. */
async function pass(condition: () => boolean): Promise<void> {
  for (;;) {
    await turns();
    if (condition()) return;
    clock.advance(clock.nextIn ?? 0);
  }
}

describe("registration", () => {
  test("creates the Node, says Ready, and takes the Lease with the Node as its owner", async () => {
    await start();
    expect(client.calls).toEqual([`GET ${lease}/n1`, `POST ${nodes}`, `PATCH ${nodes}/n1/status`]);
    expect(ready()?.status).toBe("True");
    await pass(() => renewals.length === 1);
    expect(client.calls.slice(3)).toEqual([`PATCH ${lease}/n1`, `POST ${lease}`]);
    expect(leaseOwner).toBe("node-1");
    expect(client.requests.at(-1)?.body).toMatchObject({
      metadata: { name: "n1", namespace: "kube-node-lease" },
      spec: { holderIdentity: "n1", leaseDurationSeconds: 40, renewTime: "2026-01-01T00:00:00.000000Z" },
    });
  });

  test("brings the labels of a Node that exists up to date, and leaves its taints", async () => {
    const taints = [{ key: "maintenance", effect: "NoExecute" }];
    node = { metadata: { name: "n1", uid: "node-0", labels: { theirs: "kept" } }, spec: { taints } };
    await start({ nodeLabels: { ours: "new" } });
    expect(node?.metadata?.labels).toMatchObject({ theirs: "kept", ours: "new" });
    expect(node?.spec?.taints).toEqual(taints);
  });

  test("under a node's identity never tries a label that NodeRestriction refuses", async () => {
    await start({ nodeLabels: { "node-role.kubernetes.io/batch": "", site: "here" } }, { identity: "node" });
    expect(node?.metadata?.labels).toMatchObject({ site: "here", "kubernetes.io/hostname": "n1" });
    expect(Object.keys(node?.metadata?.labels ?? {})).not.toContain("node-role.kubernetes.io/batch");
    expect(Object.keys(node?.metadata?.labels ?? {})).not.toContain("kubernetes.io/role");
  });

  test("refuses a name that another living agent holds, before it touches the Node", async () => {
    foreignLease = {
      spec: { holderIdentity: "n1", leaseDurationSeconds: 40, renewTime: "2026-01-01T00:00:00.000000Z" },
    };
    await expect(start()).rejects.toThrow("belongs to another agent");
    expect(client.calls).toEqual([`GET ${lease}/n1`]);
  });

  test("lets go of the name for good, also while it is being renewed", async () => {
    const registration = registrationOf();
    await registration.start();
    const annotations: unknown[] = [];
    const { respond } = client;
    client.respond = (request) => {
      if (!request.path.startsWith(lease)) return respond(request);
      annotations.push((request.body as Lease).metadata?.annotations?.["hostlet.dev/agent"]);
      return annotations.length === 1 ? undefined : {};
    };
    clock.advance(0);
    await until(() => annotations.length === 1);
    const released = registration.release();
    await turns();
    expect(annotations).toEqual(["agent-1"]);
    client.requests.at(-1)?.answer({});
    await released;
    clock.advance(10_000);
    await turns();
    expect(annotations).toEqual(["agent-1", ""]);
  });

  test("rewrites labels that change with time", async () => {
    await start({}, { changingLabels: (now) => ({ "jiriaf.alivetime": String(now - Date.parse("2026-01-01")) }) });
    expect(node?.metadata?.labels?.["jiriaf.alivetime"]).toBe("0");
    clock.advance(10_000);
    await until(() => node?.metadata?.labels?.["jiriaf.alivetime"] === "10000");
  });

  test("cordons the Node and says why it is not Ready; the next agent of the name opens it again", async () => {
    const registration = registrationOf();
    await registration.start();
    await registration.cordon(walltimeReason, "its walltime of 60 s ends");
    expect(node?.spec?.unschedulable).toBe(true);
    expect(node?.spec?.taints).toContainEqual({ key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" });
    expect(ready()).toMatchObject({ status: "False", reason: walltimeReason, message: "its walltime of 60 s ends" });
    abort.abort();
    abort = new AbortController();
    await start();
    expect(node?.spec?.unschedulable ?? undefined).toBeUndefined();
    expect(node?.spec?.taints?.map((taint) => taint.key)).not.toContain("node.kubernetes.io/unschedulable");
    expect(ready()?.status).toBe("True");
  });

  test("puts right at once what a node controller says of a node that it did not hear of", async () => {
    const registration = registrationOf();
    await registration.start();
    const unheard = { type: "Ready", status: "Unknown", reason: "NodeStatusUnknown" };
    node = { ...node, status: { conditions: [unheard] } };
    registration.observe(node);
    await until(() => ready()?.status === "True");
    const requests = client.requests.length;
    registration.observe(node);
    await turns();
    expect(client.requests.length).toBe(requests);
  });

  test("does not make the Node anew that it has removed itself when leaving", async () => {
    const registration = registrationOf();
    await registration.start();
    await registration.remove();
    registration.observe(undefined);
    clock.advance(10 * 60_000);
    await turns();
    expect(node).toBeUndefined();
  });

  test("makes a Node anew as soon as it sees that it was removed", async () => {
    const registration = registrationOf();
    await registration.start();
    node = undefined;
    registration.observe(undefined);
    await pass(() => ready()?.status === "True");
  });

  test("under a node's identity leaves the taints of a cordoned Node to the node controller", async () => {
    const registration = registrationOf({}, { identity: "node" });
    await registration.start();
    await registration.cordon(walltimeReason, "its walltime of 60 s ends");
    const cordon = client.requests.find((r) => r.path === `${nodes}/n1` && r.method === "PATCH");
    expect(cordon?.body).toEqual({ spec: { unschedulable: true } });
  });

  test("a Node that an administrator cordoned stays so", async () => {
    node = { metadata: { name: "n1", uid: "node-0" }, spec: { unschedulable: true } };
    await start();
    expect(client.requests.find((r) => r.method === "PATCH" && r.path === `${nodes}/n1`)?.body).not.toHaveProperty(
      "spec",
    );
  });

  test("waits for a cluster that is away at the start", async () => {
    away = networkError();
    let started = false;
    const starting = start().then(() => {
      started = true;
    });
    await until(() => clock.pending === 1);
    clock.advance(clock.nextIn!);
    await until(() => client.requests.length === 2);
    expect(started).toBe(false);
    away = undefined;
    await pass(() => started);
    await starting;
    expect(ready()?.status).toBe("True");
  });

  test("gives up waiting when its signal aborts", async () => {
    away = networkError();
    const starting = start();
    await until(() => clock.pending === 1);
    abort.abort(new Error("enough"));
    await expect(starting).rejects.toThrow("enough");
  });

  test("is refused for good where waiting can't help", async () => {
    away = apiError(403, "Forbidden", 'nodes "n1" is forbidden');
    await expect(start()).rejects.toThrow("forbidden");
  });

  test("renews the Lease every 10 s", async () => {
    await start();
    await pass(() => renewals.length === 4);
    expect(renewals.map((time) => time?.slice(17, 19))).toEqual(["00", "10", "20", "30"]);
  });

  test("tries a renewal again that failed, sooner than 10 s, and goes on as before", async () => {
    await start();
    await pass(() => renewals.length === 1);
    away = apiError(500, "InternalError");
    await turns();
    clock.advance(10_000);
    await turns();
    expect(clock.nextIn).toBeLessThanOrEqual(200);
    away = undefined;
    await pass(() => renewals.length === 2);
    await turns();
    expect(clock.nextIn).toBe(10_000);
  });

  test("makes a Node anew that somebody removed, and says Ready again", async () => {
    await start();
    node = undefined;
    clock.advance(5 * 60_000);
    await pass(() => ready()?.status === "True");
    expect((node as Node | undefined)?.metadata?.uid).toBe(`node-${uid}`);
  });

  test("makes a Lease anew that went with its Node, owned by the new one", async () => {
    await start();
    await pass(() => renewals.length === 1);
    node = undefined;
    clock.advance(5 * 60_000);
    await pass(() => ready()?.status === "True" && leaseOwner === `node-${uid}`);
    expect(renewals.length).toBeGreaterThan(1);
  });

  test("keeps the time since when the Node is Ready", async () => {
    await start();
    const since = ready()?.lastTransitionTime;
    clock.advance(5 * 60_000);
    await until(() => ready()?.lastHeartbeatTime !== since);
    expect(ready()).toMatchObject({ lastTransitionTime: since, lastHeartbeatTime: "2026-01-01T00:05:00Z" });
  });

  test("leaves no timer when it is aborted while a request is under way", async () => {
    await start();
    client.respond = () => undefined;
    clock.advance(10_000);
    await turns();
    abort.abort();
    await turns();
    expect(clock.pending).toBe(0);
  });
});
