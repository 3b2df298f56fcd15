import { afterEach, expect, test } from "vitest";
import { systemClock } from "../clock.ts";
import { silentLogger } from "../telemetry/log.ts";
import { createClient } from "./client.ts";
import { type ReflectOptions, reflect } from "./reflector.ts";
import {
  sendJson,
  sendStatus,
  startTestServer,
  type TestResponse,
  type TestServer,
  testCertificates,
} from "./testing/apiServer.ts";
import type { ConfigMap } from "./types.ts";

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Step = (response: TestResponse, query: URLSearchParams, server: TestServer) => void | Promise<void>;

const object = (name: string, resourceVersion: string) => ({ metadata: { name, resourceVersion } });
const line = (type: string, name: string, version: string) =>
  `${JSON.stringify({ type, object: object(name, version) })}\n`;

/** Answers each request by the next step, and the ones after the last not at all; gives what the consumer was told. */
async function follow(steps: Step[], until: number, options: Partial<ReflectOptions<ConfigMap>> = {}) {
  const asked: string[] = [];
  const told: string[] = [];
  let at = 0;
  const server = await startTestServer("h2", (_, response, url) => {
    const q = url.searchParams;
    asked.push(
      `${q.has("watch") ? "watch" : "list"} from ${q.get("resourceVersion") ?? (q.has("continue") ? "page" : "now")}`,
    );
    return steps[at++]?.(response, q, server);
  });
  const client = createClient(
    { server: server.url, ca: testCertificates().cert },
    { log: silentLogger, clock: systemClock, userAgent: "t" },
  );
  const stop = new AbortController();
  cleanups.push(
    () => server.close(),
    () => client.close(),
    () => stop.abort(),
  );
  const tell = (what: string) => {
    told.push(what);
    if (told.length === until) stop.abort();
  };
  await reflect<ConfigMap>({
    client,
    path: "/api/v1/configmaps",
    query: { fieldSelector: "metadata.name=x" },
    onSync: (items) => tell(`sync ${items.map((item) => item.metadata?.name).join(",")}`),
    onEvent: (type, item) => tell(`${type} ${item.metadata?.name}`),
    log: silentLogger,
    clock: systemClock,
    signal: stop.signal,
    backoff: { initialMs: 2, maxMs: 4 },
    ...options,
  });
  return { asked, told };
}

const list =
  (version: string, ...names: string[]): Step =>
  (response) =>
    sendJson(response, 200, {
      metadata: { resourceVersion: version },
      items: names.map((name) => object(name, version)),
    });

const watch =
  (lines: string, end: "end" | "reset" | "stay" = "stay"): Step =>
  async (response, _, server) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write(lines);
    if (end === "end") response.end();
    if (end === "reset") setImmediate(() => server.sockets.forEach((socket) => void socket.destroy()));
  };

test("the list comes first, then the changes", async () => {
  const { asked, told } = await follow(
    [list("5", "a", "b"), watch(line("ADDED", "c", "6") + line("DELETED", "a", "7"))],
    3,
  );
  expect(told).toEqual(["sync a,b", "ADDED c", "DELETED a"]);
  expect(asked).toEqual(["list from now", "watch from 5"]);
});

test("a list in pages is delivered as one", async () => {
  const first: Step = (response, query) => {
    expect([query.get("limit"), query.get("fieldSelector")]).toEqual(["500", "metadata.name=x"]);
    sendJson(response, 200, { metadata: { resourceVersion: "5", continue: "t" }, items: [object("a", "1")] });
  };
  const second: Step = (response, query) => {
    expect([query.get("continue"), query.get("fieldSelector")]).toEqual(["t", "metadata.name=x"]);
    sendJson(response, 200, { metadata: { resourceVersion: "5" }, items: [object("b", "2")] });
  };
  const { told } = await follow([first, second], 1);
  expect(told).toEqual(["sync a,b"]);
});

test("a continue token that has expired starts the list anew", async () => {
  const first: Step = (response) =>
    sendJson(response, 200, { metadata: { resourceVersion: "5", continue: "t" }, items: [object("a", "1")] });
  const { asked, told } = await follow([first, (r) => sendStatus(r, 410, "Expired"), list("9", "b")], 1);
  expect(told).toEqual(["sync b"]);
  expect(asked).toEqual(["list from now", "list from page", "list from now"]);
});

test("a watch that ends, or is reset, or stops in the middle of a line, goes on from the last version, bookmarks included", async () => {
  const { asked, told } = await follow(
    [
      list("5", "a"),
      watch(line("MODIFIED", "a", "6") + line("BOOKMARK", "", "8"), "end"),
      watch(line("MODIFIED", "a", "9"), "reset"),
      watch(`${line("MODIFIED", "a", "10")}{"type":"ADDED","obj`, "end"),
      watch(line("ADDED", "b", "11")),
    ],
    5,
  );
  expect(told).toEqual(["sync a", "MODIFIED a", "MODIFIED a", "MODIFIED a", "ADDED b"]);
  expect(asked).toEqual(["list from now", "watch from 5", "watch from 8", "watch from 9", "watch from 10"]);
});

const expired = `${JSON.stringify({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } })}\n`;
const internal = `${JSON.stringify({ type: "ERROR", object: { kind: "Status", code: 500, reason: "InternalError" } })}\n`;

test.each([
  ["410 as the answer to the watch", (response: TestResponse) => sendStatus(response, 410, "Expired"), "now"],
  ["410 as an event of the watch", watch(expired), "now"],
  ["another ERROR event", watch(internal), "5"],
])("%s lists again", async (_, step, from) => {
  const { asked, told } = await follow(
    [list("5", "a", "b"), step, list("20", "b"), watch(line("ADDED", "c", "21"))],
    3,
  );
  expect(told).toEqual(["sync a,b", "sync b", "ADDED c"]);
  expect(asked).toEqual(["list from now", "watch from 5", `list from ${from}`, "watch from 20"]);
});

test("429, 500, HTML and a reset are waited for, at the list and at the watch", async () => {
  const tooMany: Step = (response) => {
    response.writeHead(429, { "retry-after": "0" });
    response.end();
  };
  const failed: Step = (response) => sendStatus(response, 500, "InternalError");
  const html: Step = (response) => {
    response.writeHead(200, { "content-type": "text/html" });
    response.end("<html>");
  };
  const reset: Step = (_, __, server) => server.sockets.forEach((socket) => void socket.destroy());
  const { told } = await follow(
    [tooMany, failed, html, reset, list("5"), tooMany, failed, html, reset, watch(line("ADDED", "a", "6"))],
    2,
  );
  expect(told).toEqual(["sync ", "ADDED a"]);
});

test("an API server whose cache lags behind the version is asked for what it knows now", async () => {
  const lagging: Step = (response) => sendStatus(response, 504, "Timeout", "Too large resource version");
  const { asked } = await follow([list("5"), watch(internal), lagging, list("4", "a")], 2);
  expect(asked).toEqual(["list from now", "watch from 5", "list from 5", "list from now"]);
});

test("a watch that stays silent for longer than its time is cut and resumed", async () => {
  const timers: { ms: number; callback: () => void }[] = [];
  const clock = {
    now: () => 0,
    after(ms: number, callback: () => void) {
      timers.push({ ms, callback });
      if (ms < 10) setImmediate(callback);
      return () => {};
    },
  };
  const silent: Step = (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write("\n");
    timers.find(({ ms }) => ms === 330_000)?.callback();
  };
  const { asked, told } = await follow([list("5"), silent, watch(line("ADDED", "a", "6"))], 2, {
    clock,
    watchSeconds: 300,
  });
  expect(told).toEqual(["sync ", "ADDED a"]);
  expect(asked).toEqual(["list from now", "watch from 5", "watch from 5"]);
});

test("a signal that is aborted already makes no request", async () => {
  const { asked } = await follow([], 1, { signal: AbortSignal.abort() });
  expect(asked).toEqual([]);
});
