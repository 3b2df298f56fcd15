import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as httpRequest, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../telemetry/log.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import type { HopServer } from "../http/server.ts";
import { startApiServer } from "./server.ts";

/** A plugin that is somebody else's: answers as it is told. */
class OtherPlugin {
  readonly server: Server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      this.asked.push({ method: request.method!, url: request.url!, body, headers: request.headers });
      const { status = 200, text = "", ours = false, cut = false } = this.answers[request.url!] ?? {};
      const head = ours ? { "hostlet-hop": "1" } : {};
      if (cut) {
        response.writeHead(status, { ...head, "content-length": text.length + 10 });
        response.write(text, () => response.destroy());
      } else response.writeHead(status, head).end(text);
    });
  });
  readonly asked: { method: string; url: string; body: string; headers: Record<string, unknown> }[] = [];
  answers: Record<string, { status?: number; text?: string; ours?: boolean; cut?: boolean }> = {};
}

const uid = "11111111-2222-4333-8444-555555555555";
const pod = {
  metadata: { name: "p", namespace: "default", uid },
  spec: { containers: [{ name: "c" }] },
  status: { phase: "Running" },
};
const clock = new ManualClock();

let dir: string;
let plugin: OtherPlugin;
let api: HopServer;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-api-"));
  plugin = new OtherPlugin();
  plugin.server.listen(join(dir, "plugin.sock"));
  await once(plugin.server, "listening");
  api = await startApiServer({
    address: { socket: join(dir, "s", "api.sock") },
    insecure: false,
    config: { sidecar: { url: `unix:${join(dir, "plugin.sock")}` }, statusMaxAgeMs: 30_000 },
    clock,
    log: silentLogger,
  });
});

afterEach(async () => {
  await api.stop();
  plugin.server.close();
  plugin.server.closeAllConnections();
  rmSync(dir, { recursive: true, force: true });
});

function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === "string" ? body : body === undefined ? undefined : JSON.stringify(body);
  return new Promise<{ status: number; text: string; headers: Record<string, unknown> }>((resolve, reject) => {
    const length = text === undefined ? {} : { "content-length": String(Buffer.byteLength(text)) };
    const request = httpRequest({
      socketPath: join(dir, "s", "api.sock"),
      method,
      path,
      headers: { ...length, ...headers },
    });
    request.on("response", async (response) => {
      let found = "";
      try {
        for await (const chunk of response) found += chunk;
        resolve({ status: response.statusCode!, text: found, headers: response.headers });
      } catch (error) {
        reject(error);
      }
    });
    request.on("error", reject);
    request.end(text);
  });
}

test("a create is handed on as the plugin wants it, and answered as the plugin answers", async () => {
  plugin.answers["/create"] = { text: JSON.stringify({ PodUID: uid, PodJID: "42" }) };
  const spec = {
    volumes: [
      { name: "v", configMap: { name: "m" } },
      { name: "t", projected: { sources: [] } },
    ],
    initContainers: [{ name: "i", volumeMounts: [{ name: "t", mountPath: "/t" }] }],
    containers: [{ name: "c", volumeMounts: [{ name: "v", mountPath: "/v" }] }],
  };
  const objects = {
    configmaps: [{ metadata: { name: "m" }, data: { a: "1" } }],
    secrets: null,
    projectedvolumesmaps: [{ metadata: { name: "t" }, data: {} }],
  };
  const answer = await ask(
    "POST",
    "/create",
    { pod: { ...pod, spec }, ...objects },
    { "interlink-http-session": "CreatePod#7" },
  );
  expect(answer).toMatchObject({ status: 200, text: JSON.stringify({ PodUID: uid, PodJID: "42" }) });
  const { body, headers } = plugin.asked[0]!;
  expect(headers["interlink-http-session"]).toBe("CreatePod#7");
  expect(headers.authorization).toBeUndefined();
  const sent = JSON.parse(body);
  expect(sent.container).toEqual([
    {
      name: "i",
      configMaps: null,
      projectedvolumemaps: [{ metadata: { name: "t" }, data: {} }],
      secrets: null,
      emptyDirs: null,
    },
    {
      name: "c",
      configMaps: [{ metadata: { name: "m" }, data: { a: "1" } }],
      projectedvolumemaps: null,
      secrets: null,
      emptyDirs: null,
    },
  ]);
  expect(sent.jobConfig.ApptainerOptions.fuseMode).toBe("");
});

test("what the plugin refuses is refused with its status and its words", async () => {
  plugin.answers["/create"] = { status: 504, text: "sbatch: error: invalid partition" };
  const answer = await ask("POST", "/create", { pod }, { "interlink-http-session": "CreatePod#7" });
  expect(answer.status).toBe(504);
  expect(answer.text).toBe(
    "HTTP InterLink session CreatePod#7:  call exit status: 504. Body: sbatch: error: invalid partition",
  );
});

test.each([
  ["a plugin that is away", {}, 502, "the plugin can't be reached"],
  ["half an answer", { "/create": { text: "{", cut: true } }, 502, "the plugin can't be reached"],
])("%s is 502, whatever becomes of the pod", async (_, answers, status, words) => {
  plugin.answers = answers;
  if (Object.keys(answers).length === 0) {
    plugin.server.close();
    plugin.server.closeAllConnections();
  }
  const answer = await ask("POST", "/create", { pod });
  expect(answer.status).toBe(status);
  expect(answer.text).toContain(words);
});

test.each([
  ["no JSON", "/create", "{", 400, "invalid request body: is no JSON"],
  ["a list where an object is due", "/create", [], 400, "invalid request body"],
  ["no body at all", "/create", undefined, 400, "invalid request body"],
  ["an object that is no list", "/status", { a: 1 }, 400, "invalid request body"],
  [
    "a climbing namespace",
    "/getLogs",
    { Namespace: "../x", PodUID: uid },
    400,
    "invalid namespace: must be a valid DNS label",
  ],
  ["a wrong UID", "/getLogs", { Namespace: "x", PodUID: "u" }, 400, "invalid pod UID: must be a valid UUID"],
  [
    "a wrong container",
    "/getLogs",
    { Namespace: "x", PodUID: uid, ContainerName: "../c" },
    400,
    "invalid container name: must be a valid DNS label",
  ],
  [
    "two limits of a log",
    "/getLogs",
    { Namespace: "x", PodUID: uid, Opts: { Tail: 1, Bytes: 1 } },
    400,
    "Both Tail and LimitBytes set. Set only one of them",
  ],
  [
    "two beginnings",
    "/getLogs",
    { Namespace: "x", PodUID: uid, Opts: { SinceSeconds: 1, SinceTime: "2026-01-01T00:00:00Z" } },
    400,
    "Both SinceSeconds and SinceTime set. Set only one of them",
  ],
  ["a path that is none", "/other", {}, 404, "404 page not found"],
])("%s is refused in words", async (_, path, body, status, words) => {
  const answer = await ask("POST", path, body);
  expect(answer.status).toBe(status);
  expect(answer.text).toContain(words);
  expect(plugin.asked).toEqual([]);
});

test("a body of 100 MiB is refused before it is read", async () => {
  const answer = await ask("POST", "/create", "{}", { "content-length": String(100 * 2 ** 20) }).catch(() => ({
    status: 413,
  }));
  expect(answer.status).toBe(413);
});

test("a pod that is over is answered from the cache until it is too old; one that goes on is asked for each time", async () => {
  const status = {
    name: "p",
    UID: uid,
    namespace: "default",
    JID: "1",
    containers: [{ name: "c", state: {} }],
    initContainers: [],
  };
  plugin.answers["/status"] = { text: JSON.stringify([status]) };
  const over = { ...pod, status: { phase: "Succeeded" } };
  const questions = async (...pods: unknown[]) => JSON.parse((await ask("GET", "/status", pods)).text);
  expect(await questions(pod)).toMatchObject([{ UID: uid }]);
  expect(await questions(over)).toMatchObject([{ UID: uid }]);
  expect(plugin.asked).toHaveLength(1);
  expect(await questions(pod)).toHaveLength(1);
  expect(plugin.asked).toHaveLength(2);
  clock.advance(31_000);
  expect(await questions(over)).toHaveLength(1);
  expect(plugin.asked).toHaveLength(3);
  expect(await questions()).toHaveLength(1);
  plugin.answers["/delete"] = { text: "gone" };
  await ask("DELETE", "/delete", pod);
  expect(await questions()).toEqual([]);
});

test("a plugin that answers garbage for a status is 502, and the next answer counts again", async () => {
  plugin.answers["/status"] = { text: "<html>" };
  const answer = await ask("GET", "/status", [pod]);
  expect(answer.status).toBe(502);
  expect(answer.text).toContain("the plugin's answer to /status is no JSON");
  plugin.answers["/status"] = { text: "null" };
  expect(await ask("GET", "/status", [pod])).toMatchObject({ status: 200, text: "[]" });
});

test("a ping is the plugin's answer; without one it is 503", async () => {
  plugin.answers["/status"] = { text: '{"status":"ok","resources":{"cpu":"8"}}' };
  expect(JSON.parse((await ask("POST", "/pinglink")).text)).toEqual({ status: "ok", resources: { cpu: "8" } });
  expect(plugin.asked[0]).toMatchObject({ method: "GET", url: "/status", body: "[]" });
  plugin.answers["/status"] = { status: 500, text: "no sinfo" };
  expect(await ask("POST", "/pinglink")).toMatchObject({ status: 503, text: "503: HTTP 500: no sinfo" });
});

test("what the protocol can't carry is refused on the hop behind, in words, and never asked of somebody else's plugin", async () => {
  plugin.answers["/status"] = { text: '{"hostlet":{"capabilities":{"exec":true}}}' };
  const { headers, text } = await ask("POST", "/pinglink", undefined, { "hostlet-hop": "1" });
  expect(headers["hostlet-hop"]).toBe("1");
  const words = "interLink's protocol does not carry it, and the plugin behind this API server is not hostlet's";
  expect(JSON.parse(text).hostlet).toMatchObject({ foreign: true, capabilities: { exec: words } });
});

test("a node that is not ours hears nothing of the extension", async () => {
  plugin.answers["/status"] = {
    ours: true,
    text: JSON.stringify([{ UID: uid, containers: null, hostlet: { unknown: true } }]),
  };
  expect(JSON.parse((await ask("GET", "/status", [pod])).text)).toEqual([]);
  const ours = await ask("GET", "/status", [pod], { "hostlet-hop": "1" });
  expect(JSON.parse(ours.text)).toMatchObject([{ hostlet: { unknown: true } }]);
});

test("a log is handed on as it comes, and one that breaks off is broken off", async () => {
  const logs = { Namespace: "default", PodUID: uid, ContainerName: "c" };
  plugin.answers["/getLogs"] = { text: "one\ntwo\n" };
  expect((await ask("GET", "/getLogs", logs)).text).toBe("one\ntwo\n");
  expect(JSON.parse(plugin.asked[0]!.body).Opts).toMatchObject({ Tail: 0, Bytes: 0, Follow: false });
  plugin.answers["/getLogs"] = { text: "one\n", cut: true };
  await expect(ask("GET", "/getLogs", logs)).rejects.toThrow();
});
