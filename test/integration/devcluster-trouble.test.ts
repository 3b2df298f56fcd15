import { once } from "node:events";
import { appendFileSync, chmodSync, cpSync, readFileSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { startDevCluster } from "../../src/devcluster/index.ts";
import type { Pod } from "../../src/kube/types.ts";
import { cleanups, configMaps, events, pod, pods, start, temporary, tokenOf, Wire } from "./support/wire.ts";

describe("faults", () => {
  it("happen as often as asked, and to the requests meant", async () => {
    const { cluster, wire } = await start();
    const match = ({ path }: { path: string }) => path === pods;
    cluster.faults.add({ match, kind: "status", status: 429, retryAfter: 1 });
    const limited = await wire.get(pods);
    expect(limited.code).toBe(429);
    expect(limited.headers["retry-after"]).toBe("1");
    cluster.faults.add({ match, kind: "reset" });
    await expect(wire.get(pods)).rejects.toThrow();
    cluster.faults.add({ match, kind: "half" });
    await expect(wire.get(pods)).rejects.toThrow();
    cluster.faults.add({ match, kind: "slow", delayMs: 1 });
    expect((await wire.get(pods)).code).toBe(200);
    expect((await wire.get(configMaps)).code).toBe(200);
  });
});

describe("a cluster with a directory", () => {
  it("is the same one after a kill -9 in the middle of a line", async () => {
    const dir = join(temporary(), "cluster");
    const { cluster, wire } = await start({ dir });
    await wire.post(pods, pod("kept", { nodeName: "n" }));
    await wire.post(configMaps, { metadata: { name: "gone" } });
    await wire.call("DELETE", `${configMaps}/gone`);
    await wire.post(events, { metadata: { name: "e" }, involvedObject: {} });
    const before = cluster.stats().revision;
    expect(statSync(join(dir, "identity.json")).mode & 0o777).toBe(0o600);
    const copy = join(temporary(), "cluster");
    cpSync(dir, copy, { recursive: true, mode: 0 });
    chmodSync(copy, 0o700); // Node 22 copies a directory without its mode
    appendFileSync(join(copy, "journal.jsonl"), '{"resource":"pods","key":"default/half","revi');
    const again = await startDevCluster({ dir: copy });
    cleanups.push(() => again.stop());
    expect(again.caPem).toBe(cluster.caPem);
    const wireAgain = new Wire(again, tokenOf(cluster));
    const kept = await wireAgain.get<Pod>(`${pods}/kept`);
    expect(kept.body.spec?.nodeName).toBe("n");
    expect((await wireAgain.get(`${configMaps}/gone`)).code).toBe(404);
    expect((await wireAgain.get(`${pods}/half`)).code).toBe(404);
    expect(again.stats().revision).toBeGreaterThan(before);
    expect(readFileSync(join(copy, "journal.jsonl"), "utf8")).not.toContain("half");
    const watch = wireAgain.watch(`${pods}?watch=true&resourceVersion=${before}`);
    expect(await watch.next()).toMatchObject({ type: "ERROR", object: { code: 410 } });
  });

  it("is refused where others may read it", async () => {
    const dir = temporary();
    chmodSync(dir, 0o755);
    await expect(startDevCluster({ dir })).rejects.toMatchObject({ code: "PathNotOurs" });
  });
});

it("a port in use is named", async () => {
  const { cluster } = await start();
  const port = Number(new URL(cluster.url).port);
  await expect(startDevCluster({ port })).rejects.toMatchObject({
    code: "ListenFailed",
    message: expect.stringContaining(String(port)),
  });
});

it("nothing but loopback is listened on", async () => {
  await expect(startDevCluster({ host: "0.0.0.0" })).rejects.toMatchObject({ code: "ConfigInvalid" });
});

/** Fields that mean something, with whatever values: what a fuzzer of plain JSON would never come upon. */
const value: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    0,
    1.5,
    "",
    "a",
    "../x",
    "1Gi",
    "x".repeat(300),
    [],
    {},
    [null],
    "__proto__",
  ),
  fc.jsonValue({ maxDepth: 2 }),
);
const fields = "name image env volumeMounts resources limits configMap items path labels tolerations ports data".split(
  " ",
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    value,
    fc.dictionary(fc.constantFrom(...fields, "conditions", "livenessProbe", "$patch"), tie("tree"), { maxKeys: 4 }),
    fc.array(tie("tree"), { maxLength: 3 }),
  ),
}));
const metadata = fc.record({ name: fc.constantFrom("a", "b"), labels: tree, finalizers: tree, annotations: tree });
const spec = fc.record({
  containers: fc.array(tree),
  volumes: tree,
  initContainers: tree,
  affinity: tree,
  tolerations: tree,
});
const anything = fc.record(
  { metadata: fc.oneof(tree, metadata), spec: fc.oneof(tree, spec), status: tree, data: tree, involvedObject: tree },
  { requiredKeys: [] },
);

describe("whatever is sent is stored or refused, and nothing breaks", () => {
  const collections = ["pods", "configmaps", "secrets", "services", "events", "serviceaccounts"];

  it("as a new object", async () => {
    const { wire } = await start();
    const property = fc.asyncProperty(fc.constantFrom(...collections), anything, async (plural, body) => {
      const { code } = await wire.post(`/api/v1/namespaces/default/${plural}`, body);
      expect([201, 400, 403, 409, 422]).toContain(code);
    });
    await fc.assert(property, { numRuns: 500 });
  });

  it("as a patch", async () => {
    const { wire } = await start();
    await wire.post(pods, pod("a", { nodeName: "n" }));
    const types = ["merge-patch", "strategic-merge-patch"];
    const property = fc.asyncProperty(
      anything,
      fc.constantFrom(...types),
      fc.constantFrom("", "/status"),
      async (body, type, sub) => {
        const { code } = await wire.call("PATCH", `${pods}/a${sub}`, body, `application/${type}+json`);
        expect([200, 400, 409, 422]).toContain(code);
      },
    );
    await fc.assert(property, { numRuns: 500 });
  });

  it("as a path and a query", async () => {
    const { wire } = await start();
    const part = fc.constantFrom(
      "api",
      "apis",
      "v1",
      "namespaces",
      "default",
      "pods",
      "",
      "%zz",
      "..",
      "a%2Fb",
      "watch",
      "coordination.k8s.io",
    );
    const query = fc.dictionary(
      fc.constantFrom("limit", "continue", "labelSelector", "fieldSelector", "resourceVersion", "dryRun"),
      fc.string({ maxLength: 10 }),
    );
    const property = fc.asyncProperty(fc.array(part, { maxLength: 7 }), query, async (parts, parameters) => {
      const { code } = await wire.get(`/${parts.join("/")}?${new URLSearchParams(parameters)}`);
      expect([200, 400, 404, 410]).toContain(code);
    });
    await fc.assert(property, { numRuns: 300 });
  });
});

describe("the end of the control plane", () => {
  it("does not wait for a client in the middle of its handshake", async () => {
    const { cluster } = await start();
    const { hostname, port } = new URL(cluster.url);
    const silent = connect(Number(port), hostname);
    cleanups.push(() => silent.destroy());
    await once(silent, "connect");
    // The server has it: another one that came later has been answered.
    await new Wire(cluster).get("/version");
    const closed = once(silent, "close");
    silent.on("error", () => {});
    await cluster.stop();
    await closed;
  });
});
