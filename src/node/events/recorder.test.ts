import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../clock.ts";
import { createClient } from "../../kube/client.ts";
import {
  readBody,
  sendJson,
  sendStatus,
  startTestServer,
  type TestResponse,
  testCertificates,
} from "../../kube/testing/apiServer.ts";
import type { Event } from "../../kube/types.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createEventRecorder, type EventRecorderOptions } from "./recorder.ts";

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Written {
  method: string;
  path: string;
  body: Event;
}
type Answer = (response: TestResponse, request: Written) => void;

/** A recorder on a server that keeps what is written; `answers` come before the answers of success. */
async function setUp(answers: Answer[] = [], options: Partial<EventRecorderOptions> = {}) {
  const written: Written[] = [];
  const arrivals: (() => void)[] = [];
  const server = await startTestServer("h2", async (request, response, url) => {
    const one = { method: request.method ?? "", path: url.pathname, body: (await readBody(request)) as Event };
    written.push(one);
    for (const arrived of arrivals) arrived();
    const answer = answers.shift();
    if (answer) answer(response, one);
    else sendJson(response, 201, one.body);
  });
  const client = createClient(
    { server: server.url, ca: testCertificates().cert },
    { log: silentLogger, clock: systemClock, userAgent: "t" },
  );
  const clock = { now: () => Date.UTC(2026, 10, 20, 12), after: systemClock.after };
  const backoff = { initialMs: 1, maxMs: 2 };
  const recorder = createEventRecorder({ client, clock, log: silentLogger, host: "n", backoff, ...options });
  cleanups.push(
    () => server.close(),
    () => client.close(),
    () => recorder.stop(),
  );
  const requests = (count: number) =>
    new Promise<void>((resolve) => {
      const check = () => written.length >= count && resolve();
      arrivals.push(check);
      check();
    });
  return { recorder, written, requests };
}

const pod = { namespace: "ns", name: "p", uid: "u" };
const started = { pod, type: "Normal", reason: "Started", message: "Started container c" } as const;
const plenty = 10_000;

test("an event is written as client-go writes it", async () => {
  const { recorder, written } = await setUp();
  recorder.emit({ ...started, fieldPath: "spec.containers{c}" });
  await recorder.flush(plenty);
  const [{ method, path, body } = expect.fail()] = written;
  expect([method, path]).toEqual(["POST", "/api/v1/namespaces/ns/events"]);
  expect(body.metadata.name).toMatch(/^p\.[0-9a-f]{16}$/);
  expect(body).toMatchObject({
    apiVersion: "v1",
    kind: "Event",
    metadata: { namespace: "ns" },
    involvedObject: { apiVersion: "v1", kind: "Pod", ...pod, fieldPath: "spec.containers{c}" },
    type: "Normal",
    reason: "Started",
    message: "Started container c",
    source: { component: "hostlet", host: "n" },
    reportingComponent: "hostlet",
    reportingInstance: "n",
    count: 1,
    firstTimestamp: "2026-11-20T12:00:00Z",
    lastTimestamp: "2026-11-20T12:00:00Z",
  });
  expect(body.involvedObject).not.toHaveProperty("resourceVersion");
});

test("events about a node go to the namespace default, and names never repeat", async () => {
  const { recorder, written } = await setUp();
  const about = { apiVersion: "v1", kind: "Node", name: "n", uid: "n" };
  recorder.record(about, { type: "Normal", reason: "Starting", message: "a" });
  recorder.record(about, { type: "Normal", reason: "NodeReady", message: "b" });
  await recorder.flush(plenty);
  expect(written.map(({ path }) => path)).toEqual(Array(2).fill("/api/v1/namespaces/default/events"));
  expect(new Set(written.map(({ body }) => body.metadata.name)).size).toBe(2);
});

test("a pod whose name is as long as it may be gets an event with a valid name, and a long message is cut", async () => {
  const { recorder, written } = await setUp();
  recorder.emit({ ...started, pod: { ...pod, name: "x".repeat(253) }, message: "y".repeat(5000) });
  await recorder.flush(plenty);
  expect(written[0]?.body.metadata.name).toMatch(/^[0-9a-f-]{36}$/);
  expect(written[0]?.body.message).toHaveLength(1024);
});

test("the same said again is a patch of count, time and message", async () => {
  const { recorder, written } = await setUp();
  recorder.emit(started);
  await recorder.flush(plenty);
  recorder.emit(started);
  await recorder.flush(plenty);
  expect(written[1]).toEqual({
    method: "PATCH",
    path: `/api/v1/namespaces/ns/events/${written[0]?.body.metadata.name}`,
    body: { count: 2, lastTimestamp: "2026-11-20T12:00:00Z", message: "Started container c" },
  });
});

test("a patch of an event that has expired creates it, with its count", async () => {
  const { recorder, written } = await setUp([
    (response) => sendJson(response, 201, {}),
    (response) => sendStatus(response, 404, "NotFound"),
  ]);
  for (let i = 0; i < 2; i++) {
    recorder.emit(started);
    await recorder.flush(plenty);
  }
  expect(written.map(({ method }) => method)).toEqual(["POST", "PATCH", "POST"]);
  expect(written[2]?.body).toMatchObject({ count: 2, metadata: { name: written[0]?.body.metadata.name } });
});

test("writes of one event keep their order, and those that wait become one", async () => {
  let answerFirst = () => {};
  const { recorder, written, requests } = await setUp([
    (response) => {
      answerFirst = () => sendJson(response, 201, {});
    },
  ]);
  recorder.emit(started);
  await requests(1);
  for (let i = 0; i < 4; i++) recorder.emit(started);
  recorder.emit({ ...started, reason: "Killing" });
  await requests(2);
  expect(written.map(({ method, body }) => `${method} ${body.reason}`)).toEqual(["POST Started", "POST Killing"]);
  answerFirst();
  await recorder.flush(plenty);
  expect(written.slice(2).map(({ method, body }) => [method, body.count])).toEqual([["PATCH", 5]]);
});

test("429, 500 and resets are tried again, up to twelve times; a refusal is not", async () => {
  const failures: Answer[] = [
    (response) => {
      response.writeHead(429, { "retry-after": "0" });
      response.end();
    },
    (response) => sendStatus(response, 500, "InternalError"),
    (response) => void response.socket?.destroy(),
  ];
  const refused: Answer = (response) => sendStatus(response, 403, "Forbidden");
  const { recorder, written } = await setUp([...failures, refused]);
  recorder.emit(started);
  await recorder.flush(plenty);
  expect(written).toHaveLength(4);
});

test("an event that can't be written in twelve tries is given up", async () => {
  const { recorder, written } = await setUp(
    Array(20).fill((r: TestResponse) => sendStatus(r, 503, "ServiceUnavailable")),
  );
  recorder.emit(started);
  await recorder.flush(plenty);
  expect(written).toHaveLength(12);
});

test("a create that succeeded although its answer was lost is not an error", async () => {
  const { recorder, written } = await setUp([
    (response) => void response.socket?.destroy(),
    (response) => sendStatus(response, 409, "AlreadyExists"),
  ]);
  recorder.emit(started);
  await recorder.flush(plenty);
  expect(written).toHaveLength(2);
});

test("a full queue drops, never blocks, and a stopped recorder takes no more", async () => {
  const { recorder, written, requests } = await setUp([() => {}], { maxQueued: 2, inFlight: 1 });
  recorder.emit(started);
  await requests(1);
  for (let i = 0; i < 5; i++) recorder.emit({ ...started, reason: `R${i}` });
  const flushed = recorder.flush(plenty);
  recorder.stop();
  recorder.stop();
  await flushed;
  recorder.emit({ ...started, reason: "Late" });
  expect(written).toHaveLength(1);
});

test("flush gives up at its time", async () => {
  const { recorder, requests } = await setUp([() => {}]);
  recorder.emit(started);
  await requests(1);
  await recorder.flush(1);
});
