import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PodUpdate } from "../../kube/podUpdate.ts";
import { type Pod, podRef } from "../../kube/types.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { Admission } from "../admission.ts";
import { FakeClient } from "../testing/fakeClient.ts";
import { isMirror, isMirrorOf, mirrorOf } from "./mirror.ts";
import { readStaticManifests } from "./readManifests.ts";
import { StaticPods } from "./staticPods.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-static-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const manifest = (name: string, command = "sleep 60", more: object = {}) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: { containers: [{ name: "main", image: "none", command: ["sh", "-c", command] }], ...more },
  });
const put = (file: string, text: string) => writeFileSync(join(dir, file), text);

describe("a manifest", () => {
  test("is a pod of this node, with the API server's defaults and the kubelet's annotations", () => {
    put("web.yaml", manifest("web"));
    const { pods, problems } = readStaticManifests(dir, "n1");
    expect(problems).toEqual([]);
    const [[uid, pod]] = [...pods] as [[string, Pod]];
    expect(pod.metadata).toMatchObject({ name: "web-n1", namespace: "default", uid });
    expect(pod.metadata?.annotations).toMatchObject({
      "kubernetes.io/config.source": "file",
      "kubernetes.io/config.hash": uid,
    });
    expect(pod.spec).toMatchObject({
      nodeName: "n1",
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      tolerations: [{ operator: "Exists", effect: "NoExecute" }],
    });
  });

  test("with another content is another pod; the same is the same", () => {
    const uids = () => [...readStaticManifests(dir, "n1").pods.keys()];
    put("web.yaml", manifest("web"));
    const before = uids();
    expect(uids()).toEqual(before);
    put("web.yaml", manifest("web", "sleep 61"));
    expect(uids()).not.toEqual(before);
  });

  test.each([
    ["is no YAML", "{", /bad/],
    [
      "is no pod",
      JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name: "s" } }),
      /is a Service, not a Pod/,
    ],
    ["has no name", manifest(""), /metadata.name/],
    ["is not valid", manifest("web", "", { restartPolicy: "Sometimes" }), /restartPolicy/],
    ["names a ConfigMap", manifest("web", "", { volumes: [{ name: "v", configMap: { name: "c" } }] }), /ConfigMap c/],
    ["names a service account", manifest("web", "", { serviceAccountName: "robot" }), /service account robot/],
  ])("that %s is left out, and said why", (_what, text, message) => {
    put("bad.yaml", text);
    put("good.yaml", manifest("good"));
    const { pods, problems } = readStaticManifests(dir, "n1");
    expect([...pods.values()].map(({ metadata }) => metadata?.name)).toEqual(["good-n1"]);
    expect(problems).toEqual([expect.stringMatching(message)]);
  });

  test("is looked for in files, not in directories nor behind a dot; nothing there is nothing", () => {
    mkdirSync(join(dir, "below"));
    put(".web.yaml.swp", manifest("web"));
    expect(readStaticManifests(dir, "n1")).toEqual({ pods: new Map(), problems: [] });
    expect(readStaticManifests(join(dir, "none"), "n1").pods.size).toBe(0);
    put("web.yaml", manifest("web"));
    expect(readStaticManifests(join(dir, "web.yaml"), "n1").pods.size).toBe(1);
  });

  test("that is in two files of one name is one pod", () => {
    put("a.yaml", manifest("web"));
    put("b.yaml", manifest("web"));
    expect(readStaticManifests(dir, "n1").problems).toEqual([expect.stringContaining("is in another file, too")]);
  });
});

/** Static pods between a Provider and an API server that only note what they are told. */
function setUp() {
  const clock = new ManualClock();
  const client = new FakeClient();
  const here = new Map<string, Pod>();
  const calls: string[] = [];
  const written: PodUpdate[] = [];
  client.respond = ({ method, path, body }) => {
    calls.push(`${method} ${path.split("/").slice(-2).join("/")}`);
    const uid = `mirror-${calls.length}`;
    return method === "POST" ? { ...(body as Pod), metadata: { ...(body as Pod).metadata, uid } } : {};
  };
  const statics = new StaticPods({
    path: dir,
    nodeName: "n1",
    provider: {
      create: (pod) => {
        here.set(podRef(pod).uid, pod);
        calls.push(`create ${pod.metadata?.name}`);
      },
      delete: (pod) => calls.push(`delete ${pod.metadata?.name}`),
      list: () => [...here.values()],
    },
    admission: new Admission("n1", { pods: "2" }),
    client,
    writer: { set: (update) => written.push(update), forget: () => {} },
    everyMs: 1000,
    clock,
    log: silentLogger,
  });
  const node = { metadata: { name: "n1", uid: "node-uid" } };
  const settle = () => new Promise((done) => setTimeout(done, 20));
  const gone = (pod: Pod) => statics.report({ pod: podRef(pod), status: {}, gone: true });
  return { clock, client, statics, calls, written, here, node, settle, gone };
}

describe("static pods", () => {
  test("start without an API server, and get their mirrors when it is there", async () => {
    put("web.yaml", manifest("web"));
    const { statics, calls, client, node, written, here, settle } = setUp();
    statics.start([]);
    expect(calls).toEqual(["create web-n1"]);
    const [uid] = [...here.keys()] as [string];
    statics.report({ pod: podRef(here.get(uid)!), status: { phase: "Running" }, gone: false });
    statics.observe(node);
    statics.mirrors([]);
    await settle();
    const body = client.requests[0]!.body as Pod;
    expect(body.metadata?.ownerReferences).toEqual([
      { apiVersion: "v1", kind: "Node", name: "n1", uid: "node-uid", controller: true },
    ]);
    expect(isMirror(body)).toBe(true);
    expect(written).toMatchObject([{ pod: { uid: "mirror-2", name: "web-n1" }, status: { phase: "Running" } }]);
    await statics.stop();
  });

  test("a mirror that is deleted is made again, and one of another pod goes", async () => {
    put("web.yaml", manifest("web"));
    const { statics, calls, node, here, settle } = setUp();
    statics.start([]);
    statics.observe(node);
    const [pod] = [...here.values()] as [Pod];
    const orphan = mirrorOf({ metadata: { namespace: "default", name: "old-n1", uid: "other" } }, node);
    orphan.metadata!.uid = "orphan";
    statics.mirrors([orphan]);
    await settle();
    expect(calls).toEqual(["create web-n1", "DELETE pods/old-n1", "POST default/pods"]);
    const mirror = { ...mirrorOf(pod, node) };
    mirror.metadata = { ...mirror.metadata, uid: "mirror-3" };
    statics.mirrorRemoved(mirror);
    await settle();
    expect(calls.at(-1)).toBe("POST default/pods");
    expect(calls).toHaveLength(4);
    expect(isMirrorOf({ ...mirror, metadata: { ...mirror.metadata, deletionTimestamp: "now" } }, pod)).toBe(false);
    await statics.stop();
  });

  test("a changed file ends the pod, and its successor starts when it is gone", async () => {
    put("web.yaml", manifest("web"));
    const { statics, calls, clock, here, gone } = setUp();
    statics.start([]);
    const [before] = [...here.values()] as [Pod];
    put("web.yaml", manifest("web", "sleep 61"));
    clock.advance(1000);
    expect(calls).toEqual(["create web-n1", "delete web-n1"]);
    gone(before);
    expect(calls.at(-1)).toBe("create web-n1");
    put("web.yaml", "");
    await statics.stop();
  });

  test("what an earlier agent started is gone on with, or ended where its file is gone", async () => {
    put("web.yaml", manifest("web"));
    const [web] = [...readStaticManifests(dir, "n1").pods.values()] as [Pod];
    const lost = { ...web, metadata: { ...web.metadata, name: "lost-n1", uid: "lost" } };
    const { statics, calls } = setUp();
    statics.start([web, lost, { metadata: { namespace: "default", name: "other", uid: "api" } }]);
    expect(new Set(calls)).toEqual(new Set(["delete lost-n1"]));
    expect([statics.owns(web.metadata!.uid!), statics.owns("api")]).toEqual([true, false]);
    await statics.stop();
  });

  test("what finds no room is not started, and starts when there is some", async () => {
    for (const name of ["a", "b", "c"]) put(`${name}.yaml`, manifest(name));
    const { statics, calls, clock, here } = setUp();
    statics.start([]);
    expect(calls).toEqual(["create a-n1", "create b-n1"]);
    statics.report({ pod: podRef([...here.values()][0]!), status: { phase: "Succeeded" }, gone: false });
    clock.advance(1000);
    expect(calls.at(-1)).toBe("create c-n1");
    await statics.stop();
  });
});
