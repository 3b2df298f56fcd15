import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import { createClient } from "../kube/client.ts";
import {
  sendJson,
  sendStatus,
  startTestServer,
  type TestResponse,
  testCertificates,
} from "../kube/testing/apiServer.ts";
import { silentLogger } from "../telemetry/log.ts";
import { createApiObjects } from "./apiObjects.ts";

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const object = (version: string) => ({ metadata: { name: "c", namespace: "ns", resourceVersion: version } });
const found = (version: string) => (response: TestResponse) => sendJson(response, 200, object(version));
const missing = (response: TestResponse) => sendStatus(response, 404, "NotFound");
const forbidden = (response: TestResponse) => sendStatus(response, 403, "Forbidden", "no relationship found");

const event = (type: string, version: string) => `${JSON.stringify({ type, object: object(version) })}\n`;

type Answer = (response: TestResponse) => void;

/** Answers GETs by `gets` in turn; watches begin with the object of `version` and are held open in `watches`. */
async function setUp(gets: Answer[], options: { version?: string; clock?: typeof systemClock } = {}) {
  const asked: string[] = [];
  const watches: TestResponse[] = [];
  const waiting: (() => void)[] = [];
  const server = await startTestServer("h2", (_, response, url) => {
    const query = url.searchParams;
    if (query.has("watch")) {
      asked.push(`watch ${url.pathname} ${query.get("fieldSelector")} from ${query.get("resourceVersion")}`);
      response.writeHead(200, { "content-type": "application/json" });
      response.write(options.version ? event("ADDED", options.version) : "\n");
      watches.push(response);
    } else {
      asked.push(`get ${url.pathname}`);
      gets.shift()?.(response);
    }
    for (const check of waiting) check();
  });
  const clock = options.clock ?? systemClock;
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
  const until = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      const check = () => condition() && resolve();
      waiting.push(check);
      check();
    });
  const objects = createApiObjects({ client, clock, log: silentLogger, backoff: { initialMs: 1, maxMs: 2 } });
  return { objects, asked, watches, until, signal: stop.signal, wake: () => waiting.forEach((check) => void check()) };
}

describe("reading", () => {
  test("an object is read by its name, one that does not exist is undefined", async () => {
    const { objects, asked, signal } = await setUp([found("5"), missing]);
    expect(await objects.get("ConfigMap", "ns", "c", signal)).toEqual(object("5"));
    expect(await objects.get("Secret", "ns", "s", signal)).toBeUndefined();
    expect(asked).toEqual(["get /api/v1/namespaces/ns/configmaps/c", "get /api/v1/namespaces/ns/secrets/s"]);
  });

  test("what is asked for at the same time is read once, later again", async () => {
    const { objects, asked, signal } = await setUp([found("5"), found("6")]);
    const both = await Promise.all([1, 2].map(() => objects.get("ConfigMap", "ns", "c", signal)));
    expect(both).toEqual([object("5"), object("5")]);
    expect(await objects.get("ConfigMap", "ns", "c", signal)).toEqual(object("6"));
    expect(asked).toHaveLength(2);
  });

  test("one reader that gives up leaves the others their answer; the last one ends the request", async () => {
    let answer: Answer = () => {};
    let onClosed = () => {};
    const closed = new Promise<void>((resolve) => {
      onClosed = resolve;
    });
    const held: Answer = (response) => {
      answer = () => found("5")(response);
    };
    const abandoned: Answer = (response) => void response.on("close", onClosed);
    const { objects, asked, until, signal } = await setUp([held, abandoned]);
    const first = new AbortController();
    const given = objects.get("ConfigMap", "ns", "c", first.signal).catch((error: unknown) => error);
    const kept = objects.get("ConfigMap", "ns", "c", signal);
    await until(() => asked.length === 1);
    first.abort(new Error("enough"));
    expect(await given).toEqual(new Error("enough"));
    answer(undefined as never);
    expect(await kept).toEqual(object("5"));

    const last = new AbortController();
    const alone = objects.get("ConfigMap", "ns", "c", last.signal).catch((error: unknown) => error);
    await until(() => asked.length === 2);
    last.abort(new Error("gone"));
    expect(await alone).toEqual(new Error("gone"));
    await closed;
  });

  test("a 403 right after binding is asked again until the authorizer knows the pod", async () => {
    const { objects, signal } = await setUp([forbidden, forbidden, found("5")]);
    expect(await objects.get("ConfigMap", "ns", "c", signal)).toEqual(object("5"));
  });

  test("a 403 that stays rejects and names the object", async () => {
    let now = 0;
    const clock = { now: () => now, after: systemClock.after };
    const later: Answer = (response) => {
      now = 2_001;
      forbidden(response);
    };
    const { objects, asked, signal } = await setUp([forbidden, later], { clock });
    const error: unknown = await objects.get("Secret", "ns", "s", signal).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(HostletError);
    expect(error).toMatchObject({ code: "ApiFailed" });
    expect(String(error)).toContain("Secret ns/s: the API server forbids it to this node");
    expect(String(error)).toContain("no relationship found");
    expect(asked).toHaveLength(2);
  });

  test("another failure rejects at once", async () => {
    const { objects, signal } = await setUp([(response) => sendStatus(response, 500, "InternalError", "etcd is away")]);
    await expect(objects.get("ConfigMap", "ns", "c", signal)).rejects.toThrow("etcd is away");
  });
});

describe("watching", () => {
  const bookmark = (version: string) =>
    `${JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: version } } })}\n`;

  test("pods that use the same object share one watch, which ends with the last of them", async () => {
    const { objects, asked, watches, until } = await setUp([], { version: "5" });
    const [one, two] = [new AbortController(), new AbortController()];
    objects.watch("ConfigMap", "ns", "c", () => {}, one.signal);
    objects.watch("ConfigMap", "ns", "c", () => {}, two.signal);
    await until(() => watches.length === 1);
    expect(asked).toEqual(["watch /api/v1/namespaces/ns/configmaps metadata.name=c from 0"]);
    const closed = new Promise((resolve) => watches[0]?.on("close", resolve));
    one.abort();
    expect(watches[0]?.destroyed).toBeFalsy();
    two.abort();
    await closed;
  });

  test("changes, deletion and appearance are told, bookmarks and the same version are not", async () => {
    const { objects, watches, until, signal, wake } = await setUp([found("5")], { version: "5" });
    await objects.get("ConfigMap", "ns", "c", signal);
    let told = 0;
    const changed = () => {
      told++;
      wake();
    };
    objects.watch("ConfigMap", "ns", "c", changed, signal);
    await until(() => watches.length === 1);
    expect(told).toBe(0);
    watches[0]?.write(bookmark("6") + event("MODIFIED", "5") + event("MODIFIED", "7"));
    await until(() => told === 1);
    watches[0]?.write(event("DELETED", "8"));
    await until(() => told === 2);
    watches[0]?.write(event("ADDED", "9"));
    await until(() => told === 3);
  });

  test("an object that appeared between reading and watching is told", async () => {
    const { objects, until, signal, wake } = await setUp([missing], { version: "5" });
    await objects.get("ConfigMap", "ns", "c", signal);
    let told = 0;
    const changed = () => {
      told++;
      wake();
    };
    objects.watch("ConfigMap", "ns", "c", changed, signal);
    await until(() => told === 1);
  });

  test("after a gap the object may be another, and the watch starts over", async () => {
    const { objects, asked, watches, until, signal, wake } = await setUp([found("5")], { version: "5" });
    await objects.get("ConfigMap", "ns", "c", signal);
    let told = 0;
    const changed = () => {
      told++;
      wake();
    };
    objects.watch("ConfigMap", "ns", "c", changed, signal);
    await until(() => watches.length === 1);
    watches[0]?.end(`${JSON.stringify({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } })}\n`);
    await until(() => watches.length === 2);
    expect(told).toBe(1);
    expect(asked.slice(1)).toEqual(Array(2).fill("watch /api/v1/namespaces/ns/configmaps metadata.name=c from 0"));
  });

  test("one that joins a watch is told when what it read is older than what the watch has seen", async () => {
    const { objects, watches, until, signal, wake } = await setUp([found("5")], { version: "6" });
    let told = 0;
    const changed = () => {
      told++;
      wake();
    };
    objects.watch("ConfigMap", "ns", "c", () => {}, signal);
    await until(() => watches.length === 1);
    await objects.get("ConfigMap", "ns", "c", signal);
    objects.watch("ConfigMap", "ns", "c", changed, signal);
    await until(() => told === 1);
  });

  test("a signal that is aborted already watches nothing", async () => {
    const { objects, asked } = await setUp([]);
    objects.watch("ConfigMap", "ns", "c", () => expect.fail(), AbortSignal.abort());
    expect(asked).toEqual([]);
  });
});
