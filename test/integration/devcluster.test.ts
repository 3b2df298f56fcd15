import { request as httpsRequest } from "node:https";
import { describe, expect, it } from "vitest";
import type { Pod, Status } from "../../src/kube/types.ts";
import { configMaps, pod, pods, start, tokenOf, Wire } from "./support/wire.ts";

describe("the embedded API server", () => {
  it("asks everybody who they are", async () => {
    const { cluster } = await start();
    for (const token of ["", "x", `${tokenOf(cluster)}x`]) {
      const answer = await new Wire(cluster, token).get<Status>("/api/v1/namespaces");
      expect(answer.code).toBe(401);
      expect(answer.body).toMatchObject({ kind: "Status", reason: "Unauthorized", code: 401 });
    }
  });

  it("answers over HTTP/1.1 too", async () => {
    const { cluster } = await start();
    const code = await new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${tokenOf(cluster)}` };
      httpsRequest(`${cluster.url}/version`, { ca: cluster.caPem, headers, agent: false }, (response) => {
        response.resume().once("end", () => resolve(response.statusCode));
      })
        .once("error", reject)
        .end();
    });
    expect(code).toBe(200);
  });

  it("names what is missing, there already, or changed meanwhile", async () => {
    const { wire } = await start();
    expect((await wire.get(`${pods}/x`)).body).toMatchObject({
      code: 404,
      reason: "NotFound",
      message: 'pods "x" not found',
      details: { name: "x", kind: "pods" },
    });
    expect((await wire.get("/apis/coordination.k8s.io/v1/namespaces/default/leases/x")).body).toMatchObject({
      message: 'leases.coordination.k8s.io "x" not found',
    });
    const made = await wire.post<Pod>(pods, pod("a"));
    expect(made.code).toBe(201);
    expect((await wire.post(pods, pod("a"))).body).toMatchObject({
      code: 409,
      reason: "AlreadyExists",
      message: 'pods "a" already exists',
    });
    await wire.strategic(`${pods}/a`, { metadata: { labels: { x: "1" } } });
    const stale = await wire.call("PUT", `${pods}/a`, made.body);
    expect(stale.body).toMatchObject({ code: 409, reason: "Conflict" });
    expect((await wire.post("/api/v1/namespaces/nowhere/pods", pod("a"))).body.message).toBe(
      'namespaces "nowhere" not found',
    );
    expect((await wire.get("/api/v1/namespaces/default/dragons")).code).toBe(404);
  });

  it("makes a name of generateName", async () => {
    const { wire } = await start();
    const { body } = await wire.post<Pod>(pods, { ...pod(""), metadata: { generateName: "job-" } });
    expect(body.metadata?.name).toMatch(/^job-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  });

  it("refuses what is wrong, and says what", async () => {
    const { wire } = await start();
    const invalid = await wire.post(pods, { metadata: { name: "Not_A_Name" }, spec: { containers: [] } });
    expect(invalid.body).toMatchObject({ code: 422, reason: "Invalid", details: { kind: "Pod", name: "Not_A_Name" } });
    expect(invalid.body.details?.causes?.map((cause) => cause.field)).toEqual(["metadata.name", "spec.containers"]);
    const strict = await wire.post(`${pods}?fieldValidation=Strict`, pod("s", { foo: 1 }));
    expect(strict.body.message).toBe(
      'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo"',
    );
    const warned = await wire.post<Pod>(pods, pod("w", { foo: 1 }));
    expect(warned.headers.warning).toBe('299 - "unknown field \\"spec.foo\\""');
    expect(warned.body.spec).not.toHaveProperty("foo");
    const typed = await wire.post(pods, pod("t", { terminationGracePeriodSeconds: "soon" }));
    expect(typed.body.message).toContain(
      "json: cannot unmarshal string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
    );
    expect((await wire.post(pods, "{")).code).toBe(400);
    expect((await wire.call("POST", pods, "a: b", "application/yaml")).code).toBe(415);
    expect((await wire.call("PATCH", `${pods}/w`, "a: b", "application/apply-patch+yaml")).code).toBe(415);
    expect((await wire.call("PATCH", pods, {}, "application/merge-patch+json")).code).toBe(405);
  });

  it("holds a ConfigMap of 1 MiB and no more, and no body above 3 MiB", async () => {
    const { wire } = await start();
    const map = (name: string, size: number) => ({ metadata: { name }, data: { x: "x".repeat(size) } });
    expect((await wire.post(configMaps, map("a", 1 << 20))).code).toBe(201);
    expect((await wire.post(configMaps, map("b", (1 << 20) + 1))).code).toBe(422);
    expect((await wire.post(configMaps, map("c", 3 << 20))).body).toMatchObject({
      code: 413,
      reason: "RequestEntityTooLarge",
    });
  });

  it("sends several long lists at once over one connection", async () => {
    const { wire } = await start();
    const data = { x: "x".repeat(1 << 20) };
    for (let i = 0; i < 8; i++) await wire.post(configMaps, { metadata: { name: `c${i}` }, data });
    const answers = await Promise.all(Array.from({ length: 5 }, () => wire.get(configMaps)));
    expect(answers.map(({ code }) => code)).toEqual([200, 200, 200, 200, 200]);
  });

  it("takes a status by strategic merge patch, under its UID, and writes nothing that changes nothing", async () => {
    const { wire } = await start();
    const made = (await wire.post<Pod>(pods, pod("a", { nodeName: "n" }))).body;
    const condition = (type: string) => ({ type, status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" });
    const first = await wire.strategic<Pod>(`${pods}/a/status`, {
      metadata: { uid: made.metadata?.uid },
      spec: { nodeName: "elsewhere" },
      status: { phase: "Running", conditions: [condition("Ready")] },
    });
    expect(first.body).toMatchObject({ spec: { nodeName: "n" }, status: { phase: "Running", qosClass: "BestEffort" } });
    const second = await wire.strategic<Pod>(`${pods}/a/status`, { status: { conditions: [condition("Other")] } });
    expect(second.body.status?.conditions?.map((c) => c.type).sort()).toEqual(["Other", "Ready"]);
    const same = await wire.strategic<Pod>(`${pods}/a/status`, { status: { phase: "Running" } });
    expect(same.body.metadata?.resourceVersion).toBe(second.body.metadata?.resourceVersion);
    const wrong = await wire.strategic<Status>(`${pods}/a/status`, {
      metadata: { uid: "other" },
      status: { phase: "Failed" },
    });
    expect(wrong.body).toMatchObject({ code: 422, details: { causes: [{ field: "metadata.uid" }] } });
    const main = await wire.strategic<Pod>(`${pods}/a`, {
      metadata: { labels: { a: "b" } },
      status: { phase: "Failed" },
    });
    expect(main.body).toMatchObject({ metadata: { labels: { a: "b" } }, status: { phase: "Running" } });
  });

  it("lists page by page, by labels and by fields", async () => {
    const { wire } = await start();
    for (const name of ["a", "b", "c"])
      await wire.post(pods, { ...pod(name, { nodeName: name }), metadata: { name, labels: { n: name } } });
    type List = { items: Pod[]; metadata: { continue?: string; remainingItemCount?: number; resourceVersion: string } };
    const names = (list: List) => list.items.map((item) => item.metadata?.name);
    const first = (await wire.get<List>(`${pods}?limit=2`)).body;
    expect(names(first)).toEqual(["a", "b"]);
    expect(first.metadata.remainingItemCount).toBe(1);
    expect(names((await wire.get<List>(`${pods}?limit=2&continue=${first.metadata.continue}`)).body)).toEqual(["c"]);
    expect(names((await wire.get<List>(`${pods}?labelSelector=n%21%3Db`)).body)).toEqual(["a", "c"]);
    expect(names((await wire.get<List>("/api/v1/pods?fieldSelector=spec.nodeName%3Db")).body)).toEqual(["b"]);
    expect((await wire.get<Status>(`${pods}?fieldSelector=spec.foo%3Db`)).body.message).toBe(
      "field label not supported: spec.foo",
    );
  });
});

describe("a watch", () => {
  it("tells what comes into its selection and what leaves it", async () => {
    const { wire } = await start();
    await wire.post(pods, pod("a", { schedulingGates: [{ name: "g" }] }));
    const watch = wire.watch("/api/v1/pods?watch=true&labelSelector=on");
    await wire.post(configMaps, { metadata: { name: "unrelated" } });
    await wire.strategic(`${pods}/a`, { metadata: { labels: { on: "1" } } });
    await wire.strategic(`${pods}/a`, { metadata: { labels: { on: "2" } } });
    await wire.strategic(`${pods}/a`, { metadata: { labels: { on: null } } });
    expect(await watch.types(3)).toEqual(["ADDED a", "MODIFIED a", "DELETED a"]);
    watch.close();
  });

  it("goes on from a resourceVersion, and sends a bookmark before its time is over", async () => {
    const { wire } = await start();
    const made = (await wire.post<Pod>(pods, pod("a", { nodeName: "n" }))).body;
    await wire.post(pods, pod("b", { nodeName: "n" }));
    const since = made.metadata?.resourceVersion;
    const watch = wire.watch(`${pods}?watch=1&resourceVersion=${since}&allowWatchBookmarks=true&timeoutSeconds=1`);
    expect(await watch.types(1)).toEqual(["ADDED b"]);
    const bookmark = await watch.next();
    expect(bookmark?.type).toBe("BOOKMARK");
    expect(Number(bookmark?.object.metadata?.resourceVersion)).toBeGreaterThan(Number(since));
    expect(await watch.next()).toBeUndefined();
  });

  it("has expired after a compaction, or when it comes from the future", async () => {
    const { cluster, wire } = await start();
    const { resourceVersion } = (await wire.post<Pod>(pods, pod("a", { nodeName: "n" }))).body.metadata ?? {};
    await wire.post(pods, pod("b", { nodeName: "n" }));
    cluster.faults.compact();
    for (const version of [resourceVersion, "999999999"]) {
      const watch = wire.watch(`${pods}?watch=true&resourceVersion=${version}`);
      expect(await watch.next()).toMatchObject({ type: "ERROR", object: { code: 410, reason: "Expired" } });
      expect(await watch.next()).toBeUndefined();
    }
  });
});

describe("deleting", () => {
  it("leaves a running pod to its node for the grace period", async () => {
    const { wire } = await start();
    const made = (await wire.post<Pod>(pods, pod("a", { nodeName: "n" }))).body;
    const watch = wire.watch(`${pods}?watch=true&resourceVersion=${made.metadata?.resourceVersion}`);
    const marked = await wire.call<Pod>("DELETE", `${pods}/a`);
    expect(marked.body.metadata).toMatchObject({
      deletionGracePeriodSeconds: 30,
      deletionTimestamp: expect.any(String),
    });
    const longer = await wire.call<Pod>("DELETE", `${pods}/a`, { gracePeriodSeconds: 60 });
    expect(longer.body.metadata?.resourceVersion).toBe(marked.body.metadata?.resourceVersion);
    const shorter = await wire.call<Pod>("DELETE", `${pods}/a?gracePeriodSeconds=5`);
    expect(shorter.body.metadata?.deletionGracePeriodSeconds).toBe(5);
    const other = await wire.call("DELETE", `${pods}/a`, { gracePeriodSeconds: 0, preconditions: { uid: "other" } });
    expect(other.body).toMatchObject({ code: 409, reason: "Conflict" });
    await wire.call("DELETE", `${pods}/a`, { gracePeriodSeconds: 0, preconditions: { uid: made.metadata?.uid } });
    expect(await watch.types(4)).toEqual(["MODIFIED a", "MODIFIED a", "MODIFIED a", "DELETED a"]);
    watch.close();
    expect((await wire.get(`${pods}/a`)).code).toBe(404);
  });

  it("takes an ended pod, and one that no node has, at once", async () => {
    const { wire } = await start();
    await wire.post(pods, pod("waiting"));
    await wire.post(pods, pod("ended", { nodeName: "n" }));
    await wire.strategic(`${pods}/ended/status`, { status: { phase: "Succeeded" } });
    for (const name of ["waiting", "ended"]) {
      expect((await wire.call("DELETE", `${pods}/${name}`)).code).toBe(200);
      expect((await wire.get(`${pods}/${name}`)).code).toBe(404);
    }
  });

  it("waits for finalizers", async () => {
    const { wire } = await start();
    await wire.post(configMaps, { metadata: { name: "a", finalizers: ["x.io/y"] } });
    await wire.call("DELETE", `${configMaps}/a`);
    expect((await wire.get(`${configMaps}/a`)).code).toBe(200);
    await wire.call("PATCH", `${configMaps}/a`, { metadata: { finalizers: null } }, "application/merge-patch+json");
    expect((await wire.get(`${configMaps}/a`)).code).toBe(404);
  });

  it("empties a namespace before it goes, and lets nothing in meanwhile", async () => {
    const { wire } = await start();
    await wire.post("/api/v1/namespaces", { metadata: { name: "n1" } });
    await wire.post("/api/v1/namespaces/n1/configmaps", { metadata: { name: "c" } });
    await wire.post("/api/v1/namespaces/n1/pods", pod("p", { nodeName: "n" }));
    await wire.call("DELETE", "/api/v1/namespaces/n1");
    expect((await wire.get("/api/v1/namespaces/n1/configmaps/c")).code).toBe(404);
    expect((await wire.post("/api/v1/namespaces/n1/configmaps", { metadata: { name: "d" } })).code).toBe(403);
    await wire.call("DELETE", "/api/v1/namespaces/n1/pods/p", { gracePeriodSeconds: 0 });
    expect((await wire.get("/api/v1/namespaces/n1")).code).toBe(404);
  });

  it("takes a whole collection", async () => {
    const { wire } = await start();
    for (const name of ["a", "b"]) await wire.post(configMaps, { metadata: { name, labels: { x: name } } });
    await wire.call("DELETE", `${configMaps}?labelSelector=x%3Da`);
    expect((await wire.get(`${configMaps}/a`)).code).toBe(404);
    expect((await wire.get(`${configMaps}/b`)).code).toBe(200);
  });
});
