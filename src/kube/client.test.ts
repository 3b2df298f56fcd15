import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../clock.ts";
import { silentLogger } from "../telemetry/log.ts";
import { ApiError, isConflict, isGone, isNotFound, isRetryable, NetworkError } from "./apiError.ts";
import { createClient, type KubeClient } from "./client.ts";
import type { ClientConfig } from "./kubeconfig.ts";
import { paths } from "./paths.ts";
import {
  readBody,
  sendJson,
  sendStatus,
  startTestServer,
  type TestHandler,
  type TestRequest,
  type TestServer,
  testCertificates,
} from "./testing/apiServer.ts";
import type { ConfigMap } from "./types.ts";

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function setUp(
  kind: "h2" | "https" | "http",
  handler: TestHandler,
  config: Partial<ClientConfig> = {},
): Promise<{ client: KubeClient; server: TestServer }> {
  const server = await startTestServer(kind, handler);
  const ca = kind === "http" ? {} : { ca: testCertificates().cert };
  const client = createClient(
    { server: server.url, ...ca, ...config },
    { log: silentLogger, clock: systemClock, userAgent: "hostlet-test" },
  );
  cleanups.push(
    () => server.close(),
    () => client.close(),
  );
  return { client, server };
}

const never = new AbortController().signal;

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail("it succeeded"),
    (error: unknown) => error,
  );
}

describe("requests", () => {
  test("a request carries method, query, body, content type, token and user agent", async () => {
    const seen: unknown[] = [];
    const { client } = await setUp(
      "h2",
      async (request, response, url) => {
        const { method, headers } = request;
        const body = await readBody(request);
        seen.push({ method, url: url.pathname + url.search, body, type: headers["content-type"] });
        seen.push([headers.authorization, headers["user-agent"]]);
        sendJson(response, 200, { done: true });
      },
      { token: "t0ken" },
    );
    const path = paths.pods("ns", "a b", "status");
    const query = { fieldManager: "hostlet", dryRun: undefined, force: true };
    expect(await client.patch(path, { status: {} }, "strategic", { query })).toEqual({ done: true });
    expect(seen).toEqual([
      {
        method: "PATCH",
        url: "/api/v1/namespaces/ns/pods/a%20b/status?fieldManager=hostlet&force=true",
        body: { status: {} },
        type: "application/strategic-merge-patch+json",
      },
      ["Bearer t0ken", "hostlet-test"],
    ]);
  });

  test("connections are kept, and no more than allowed are opened", async () => {
    const { client, server } = await setUp("h2", (_, response) => sendJson(response, 200, {}));
    await Promise.all(Array.from({ length: 50 }, () => client.get("/api")));
    expect(server.connections).toBeLessThanOrEqual(8);
  });

  test("a server behind a path gets that path in front", async () => {
    const { client, server } = await setUp("http", (_, response, url) => sendJson(response, 200, [url.pathname]));
    const behind = createClient(
      { server: `${server.url}/k8s/clusters/c1/` },
      { log: silentLogger, clock: systemClock, userAgent: "t" },
    );
    cleanups.push(() => behind.close());
    expect(await behind.get(paths.nodes("n"))).toEqual(["/k8s/clusters/c1/api/v1/nodes/n"]);
    expect(await client.get(paths.nodes("n"))).toEqual(["/api/v1/nodes/n"]);
  });

  test("a Status body becomes an ApiError that names the request, the reason and the message", async () => {
    const { client } = await setUp("h2", (_, response) => sendStatus(response, 404, "NotFound", 'pods "p" not found'));
    const error = await failureOf(client.get(paths.pods("ns", "p")));
    expect(error).toMatchObject({ code: 404, reason: "NotFound", method: "GET", path: "/api/v1/namespaces/ns/pods/p" });
    expect(String(error)).toBe('ApiError: GET /api/v1/namespaces/ns/pods/p: 404 NotFound: pods "p" not found');
    expect([isNotFound(error), isConflict(error), isGone(error), isRetryable(error)]).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });

  test("an answer in HTML is cut to 200 characters, and with a code of success it is an error too", async () => {
    const { client } = await setUp("h2", (_, response, url) => {
      response.writeHead(url.pathname === "/ok" ? 200 : 503, { "content-type": "text/html" });
      response.end(`<html>\n  ${"sign in ".repeat(1000)}`);
    });
    const down = await failureOf(client.get("/api"));
    expect(down).toBeInstanceOf(ApiError);
    expect(down).toMatchObject({ code: 503, reason: "InvalidResponse" });
    expect((down as Error).message.length).toBeLessThan(320);
    expect(isRetryable(down)).toBe(true);
    const portal = await failureOf(client.get("/ok"));
    expect(portal).toMatchObject({ code: 200, reason: "InvalidResponse" });
    expect(isRetryable(portal)).toBe(false);
  });

  test("an answer that is cut, or no JSON, is a retryable error that does not quote it", async () => {
    const { client } = await setUp("h2", (_, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end('{"data":{"password":s3cret');
    });
    const error = await failureOf(client.get(paths.secrets("ns", "s")));
    expect(error).toMatchObject({ code: "TRUNCATED" });
    expect(isRetryable(error)).toBe(true);
    expect(String((error as Error).stack) + String((error as Error).cause)).not.toContain("s3cret");
  });

  test("Retry-After of a 429 is told", async () => {
    const { client } = await setUp("h2", (_, response) => {
      response.writeHead(429, { "retry-after": "7", "content-type": "text/plain" });
      response.end("Too many requests, please try again later.");
    });
    const error = await failureOf(client.get("/api"));
    expect(error).toMatchObject({ code: 429, retryAfterSeconds: 7 });
    expect(isRetryable(error)).toBe(true);
  });

  test("a server that does not answer in time is a retryable error that says so", async () => {
    const { client } = await setUp("h2", () => {});
    const error = await failureOf(client.get("/api", { timeoutMs: 20 }));
    expect(error).toMatchObject({ code: "TIMEOUT" });
    expect((error as Error).message).toContain("no answer within 0.02 s");
    expect(isRetryable(error)).toBe(true);
  });

  test("an aborted request rejects with the signal's reason, before and after it was sent", async () => {
    const controller = new AbortController();
    const { client } = await setUp("h2", () => controller.abort(new Error("enough")));
    expect(await failureOf(client.get("/api", { signal: controller.signal }))).toEqual(new Error("enough"));
    expect(await failureOf(client.get("/api", { signal: controller.signal }))).toEqual(new Error("enough"));
  });

  test("a connection that breaks in the middle of an answer is a retryable error", async () => {
    const { client } = await setUp("h2", (request, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write('{"half":');
      setImmediate(() => request.socket.destroy());
    });
    const error = await failureOf(client.get("/api"));
    expect(error).toBeInstanceOf(NetworkError);
    expect(isRetryable(error)).toBe(true);
  });

  test("a GET that meets a connection which the server had closed is sent again on another", async () => {
    const used = new Set<unknown>();
    const { client, server } = await setUp("h2", (request, response) => {
      if (used.has(request.socket)) return void request.socket.destroy();
      used.add(request.socket);
      sendJson(response, 200, { n: used.size });
    });
    expect(await client.get("/api")).toEqual({ n: 1 });
    expect(await client.get("/api")).toEqual({ n: 2 });
    expect(server.connections).toBe(2);
  });

  test("a closed client breaks off what is under way and sends nothing more", async () => {
    let requests = 0;
    const { client } = await setUp("h2", (_, response) => {
      if (++requests === 1) sendJson(response, 200, {});
      else client.close();
    });
    await client.get("/api");
    expect(await failureOf(client.get("/api"))).toMatchObject({ code: "CLOSED" });
    expect(await failureOf(client.get("/api"))).toMatchObject({ code: "CLOSED" });
    expect(requests).toBe(2);
  });

  test("nobody listening, and a certificate of a foreign CA, are told apart", async () => {
    const { client, server } = await setUp("h2", (_, response) => sendJson(response, 200, {}));
    const stranger = createClient({ server: server.url }, { log: silentLogger, clock: systemClock, userAgent: "t" });
    cleanups.push(() => stranger.close());
    const untrusted = await failureOf(stranger.get("/api"));
    expect(untrusted).toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    expect(isRetryable(untrusted)).toBe(false);
    await server.close();
    const refused = await failureOf(client.get("/api"));
    expect(refused).toMatchObject({ code: "ECONNREFUSED" });
    expect(isRetryable(refused)).toBe(true);
  });
});

const event = (type: string, name: string, data = "") =>
  `${JSON.stringify({ type, object: { metadata: { name }, data } })}\n`;

describe.each(["h2", "https"] as const)("watches over %s", (kind) => {
  const path = paths.configMaps("ns");

  test("events arrive however their lines are cut", async () => {
    const big = "x".repeat(3_000_000);
    const bytes = Buffer.from(event("ADDED", "a", "ä€") + event("MODIFIED", "b", big) + event("DELETED", "c"));
    const { client } = await setUp(kind, async (request, response, url) => {
      expect([url.searchParams.get("watch"), url.searchParams.get("resourceVersion")]).toEqual(["true", "5"]);
      response.writeHead(200, { "content-type": "application/json" });
      for (const at of [0, 1, 2, 50, 51, 52, 53, 60, 100_000, bytes.length - 3, bytes.length]) {
        response.write(bytes.subarray(sent(request), at));
        counts.set(request, at);
        await new Promise(setImmediate);
      }
      response.end();
    });
    const seen: unknown[] = [];
    for await (const { type, object } of client.watch<ConfigMap>(path, {
      query: { resourceVersion: 5 },
      signal: never,
    })) {
      if (type !== "ERROR") seen.push([type, object.metadata?.name, String(object.data).length]);
    }
    expect(seen).toEqual([
      ["ADDED", "a", 2],
      ["MODIFIED", "b", 3_000_000],
      ["DELETED", "c", 0],
    ]);
  });

  test("half a line at the end, a reset, and a line that is no JSON are errors that can be retried", async () => {
    const { client, server } = await setUp(kind, (_, response, url) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write(event("ADDED", "a"));
      const how = url.searchParams.get("how");
      if (how === "half") response.end('{"type":"ADDED","obj');
      else if (how === "junk") response.end("junk\n");
      else setImmediate(() => server.sockets.forEach((socket) => void socket.destroy()));
    });
    for (const how of ["half", "reset", "junk"]) {
      const seen: string[] = [];
      const error = await failureOf(
        (async () => {
          for await (const { type } of client.watch(path, { query: { how }, signal: never })) seen.push(type);
        })(),
      );
      expect(seen, how).toEqual(["ADDED"]);
      expect(error, how).toBeInstanceOf(NetworkError);
      expect(isRetryable(error), how).toBe(true);
    }
  });

  test("a refusal is an ApiError, an HTML page too", async () => {
    const { client } = await setUp(kind, (_, response, url) => {
      if (url.searchParams.get("how") === "gone")
        return sendStatus(response, 410, "Expired", "too old resource version");
      response.writeHead(200, { "content-type": "text/html" });
      response.end("<html>sign in");
    });
    const iterate = (how: string) =>
      client.watch(path, { query: { how }, signal: never })[Symbol.asyncIterator]().next();
    expect(isGone(await failureOf(iterate("gone")))).toBe(true);
    expect(await failureOf(iterate("html"))).toMatchObject({ code: 200, reason: "InvalidResponse" });
  });

  test("an aborted watch throws the signal's reason and gives its stream back", async () => {
    let onClosed = () => {};
    const gone = new Promise<void>((resolve) => {
      onClosed = resolve;
    });
    const { client } = await setUp(kind, (_, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write(event("ADDED", "a"));
      response.on("close", onClosed);
    });
    const controller = new AbortController();
    const error = await failureOf(
      (async () => {
        for await (const _ of client.watch(path, { signal: controller.signal })) controller.abort(new Error("enough"));
      })(),
    );
    expect(error).toEqual(new Error("enough"));
    await gone;
  });

  test("a watch that is left early is closed at the server", async () => {
    let onClosed = () => {};
    const gone = new Promise<void>((resolve) => {
      onClosed = resolve;
    });
    const { client } = await setUp(kind, (_, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write(event("ADDED", "a"));
      response.on("close", onClosed);
    });
    for await (const _ of client.watch(path, { signal: never })) break;
    await gone;
  });

  test("a stream gives the bytes as they come", async () => {
    const { client } = await setUp(kind, (_, response) => {
      response.writeHead(200, { "content-type": "text/plain" });
      response.write("one\n");
      response.end("two\n");
    });
    let text = "";
    for await (const chunk of await client.stream("/log", { signal: never })) text += Buffer.from(chunk).toString();
    expect(text).toBe("one\ntwo\n");
  });
});

const counts = new WeakMap<TestRequest, number>();
const sent = (request: TestRequest) => counts.get(request) ?? 0;

describe("sessions", () => {
  test("many watches share few connections", async () => {
    let opened = 0;
    let onAll = () => {};
    const all = new Promise<void>((resolve) => {
      onAll = resolve;
    });
    const { client, server } = await setUp("h2", (_, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write(event("ADDED", "a", "x".repeat(200_000)));
      if (++opened === 300) onAll();
    });
    const controller = new AbortController();
    const watches = Array.from({ length: 300 }, () =>
      client.watch("/w", { signal: controller.signal })[Symbol.asyncIterator](),
    );
    const first = await Promise.all(watches.map((watch) => watch.next()));
    await all;
    expect(first.every(({ done }) => !done)).toBe(true);
    expect(server.sessions.size).toBe(2);
    controller.abort(new Error("enough"));
    await Promise.allSettled(watches.map((watch) => watch.next()));
  });

  test("a watch that is not read on holds none of the others back", async () => {
    const { client, server } = await setUp("h2", (_, response, url) => {
      response.writeHead(200, { "content-type": "application/json" });
      const events = url.pathname === "/big" ? 10 : 1;
      for (let i = 0; i < events; i++) response.write(event("ADDED", "a", "x".repeat(200_000)));
    });
    const start = (path: string) => client.watch(path, { signal: never })[Symbol.asyncIterator]();
    const stalled = start("/big");
    await stalled.next();
    const others = await Promise.all(Array.from({ length: 5 }, () => start("/small").next()));
    expect(others.every(({ done }) => !done)).toBe(true);
    expect(server.sessions.size).toBe(1);
  });
});
