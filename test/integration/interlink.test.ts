import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { paths } from "../../src/kube/paths.ts";
import type { ConfigMap, Node, Secret } from "../../src/kube/types.ts";
import { TestNode, terminatedState, until } from "./support/node.ts";
import { TestPlugin } from "./support/plugin.ts";

let plugin: TestPlugin;
let node: TestNode;

beforeAll(async () => {
  plugin = await TestPlugin.start();
  node = await TestNode.start({
    nodeName: "far-1",
    provider: "interlink",
    interlinkUrl: plugin.url,
    interlinkStatusInterval: 50,
    interlinkPingInterval: 1000,
  });
});

afterAll(async () => {
  await node.stop();
  await plugin.stop();
});

test("a pod runs at the far end, with its log, its exit code and its JobID", async () => {
  await node.run("far", "echo from afar; exit 7");
  const pod = await node.ended("far");
  expect(terminatedState(pod)).toMatchObject({ exitCode: 7, reason: "Error" });
  expect(pod.metadata?.annotations?.JobID).toBe(pod.metadata?.uid);
  expect(await node.logs("far")).toBe("from afar\n");
});

test("ConfigMaps, Secrets, the downward API and projected volumes travel with the pod", async () => {
  await node.configMap("settings", { "a.txt": "from a ConfigMap", KEY: "value" });
  await node.client.create<Secret>(paths.secrets("default"), {
    metadata: { name: "password" },
    data: { word: Buffer.from("hush $(A)").toString("base64") },
  });
  const script = `cd "$HOSTLET_POD_DIR"; cat configmaps/c/a.txt secrets/s/word downwardapi/d/name; cat secrets/p/dir/both; echo "$A|$B|$C|$KEY"`;
  await node.run("volumes", script, {
    volumes: [
      { name: "c", configMap: { name: "settings" } },
      { name: "s", secret: { secretName: "password" } },
      { name: "d", downwardAPI: { items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }] } },
      {
        name: "p",
        projected: { sources: [{ configMap: { name: "settings", items: [{ key: "a.txt", path: "dir/both" }] } }] },
      },
    ],
    containers: [
      {
        name: "main",
        envFrom: [{ configMapRef: { name: "settings" } }],
        env: [
          { name: "A", value: "1" },
          { name: "B", value: "$(A)2" },
          { name: "C", valueFrom: { secretKeyRef: { name: "password", key: "word" } } },
        ],
      },
    ],
  });
  const pod = await node.ended("volumes");
  const log = await node.logs("volumes");
  expect(log).toBe("from a ConfigMaphush $(A)volumesfrom a ConfigMap1|12|hush $(A)|value\n");
  expect(pod.status?.phase).toBe("Succeeded");
});

test("init containers run first, and are told of", async () => {
  await node.run("inits", "echo main", {
    initContainers: [{ name: "first", image: "none", command: ["sh", "-c", "echo first"] }],
  });
  const pod = await node.ended("inits");
  expect(terminatedState(pod, "first")).toMatchObject({ exitCode: 0 });
  expect(terminatedState(pod)).toMatchObject({ exitCode: 0 });
});

test("what a pod refers to is waited for, and the pod says so", async () => {
  await node.run("patient", "exit 0", { volumes: [{ name: "c", configMap: { name: "late" } }] });
  const waiting = await node.pod("patient", (p) => Boolean(p.status?.containerStatuses?.[0]?.state?.waiting?.message));
  expect(waiting.status?.containerStatuses?.[0]?.state?.waiting?.message).toContain('configmap "late" not found');
  await node.client.create<ConfigMap>(paths.configMaps("default"), { metadata: { name: "late" }, data: {} });
  expect((await node.ended("patient")).status?.phase).toBe("Succeeded");
});

test("a deletion ends the pod at the far end, and leaves nothing there", async () => {
  await node.run("deleted", "trap 'exit 0' TERM; echo up; while true; do sleep 0.05; done");
  const { metadata } = await node.running("deleted");
  const dir = join(plugin.dir, "state", "pods", metadata!.uid!);
  expect(existsSync(dir)).toBe(true);
  await node.deleteNow("deleted", 5);
  await node.gone("deleted");
  expect(existsSync(dir)).toBe(false);
});

test("node and plugin come back, and nothing is started twice", async () => {
  const journal = join(node.dir, "journal");
  await node.run("steady", `echo start >> ${journal}; exec sleep 60`);
  await node.running("steady");
  await until(() => existsSync(journal), "it never started");
  await node.stopAgent();
  await plugin.leaveApi();
  await plugin.leave();
  await node.startAgent();
  await plugin.listen();
  await plugin.listenApi();
  await node.run("next", "exit 0");
  expect((await node.ended("next")).status?.phase).toBe("Succeeded");
  expect((await node.running("steady")).status?.containerStatuses?.[0]?.restartCount).toBe(0);
  expect(readFileSync(journal, "utf8")).toBe("start\n");
  await node.deleteNow("steady");
  await node.gone("steady");
});

test("a plugin that comes back alone tells what became of its pods meanwhile", async () => {
  const go = join(node.dir, "go");
  await node.run("left", `until [ -e ${go} ]; do sleep 0.05; done; exit 7`);
  await node.running("left");
  await plugin.leave();
  writeFileSync(go, "");
  await plugin.listen();
  expect(terminatedState(await node.ended("left"))).toMatchObject({ exitCode: 7, reason: "Error" });
});

test("a far end that is away makes the node NotReady with interLink's condition, and no pod anything that it is not", async () => {
  await node.run("unmoved", "exec sleep 60");
  await node.running("unmoved");
  const condition = async (type: string) => {
    const { status } = await node.client.get<Node>(paths.nodes("far-1"));
    return status?.conditions?.find((one) => one.type === type);
  };
  expect(await condition("InterlinkConnectivity")).toMatchObject({ status: "True" });
  await plugin.leave();
  await until(async () => (await condition("Ready"))?.status === "False", "the node stays Ready");
  expect(await condition("Ready")).toMatchObject({ reason: "InterlinkPingFailed" });
  expect(await condition("InterlinkConnectivity")).toMatchObject({ status: "False", reason: "InterlinkPingFailed" });
  await node.run("early", "exit 0", { nodeName: "far-1" }); // no scheduler would
  const early = await node.pod("early", (pod) => Boolean(pod.status?.containerStatuses?.[0]?.state?.waiting?.message));
  expect(early.status).toMatchObject({ phase: "Pending" });
  expect(early.status?.containerStatuses?.[0]?.state?.waiting?.reason).toBe("ProviderFailed");
  expect((await node.running("unmoved")).status?.phase).toBe("Running");
  await plugin.listen();
  await until(async () => (await condition("Ready"))?.status === "True", "the node stays NotReady");
  expect((await node.ended("early")).status?.phase).toBe("Succeeded");
  await node.deleteNow("unmoved");
});

test("a ConfigMap that changes is changed at the far end, too", async () => {
  const config = await node.configMap("live", { word: "old" });
  await node.run("follows", 'until grep -q new "$HOSTLET_POD_DIR/configmaps/c/word"; do sleep 0.05; done; echo seen', {
    volumes: [{ name: "c", configMap: { name: "live" } }],
  });
  await node.running("follows");
  await node.client.update(paths.configMaps("default", "live"), { ...config, data: { word: "new" } });
  expect((await node.ended("follows")).status?.phase).toBe("Succeeded");
});
