import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../clock.ts";
import { silentLogger } from "../telemetry/log.ts";
import { createClient, type KubeClient } from "./client.ts";
import { sendJson, startTestServer, type TestServer, testCertificates } from "./testing/apiServer.ts";
import { ManualClock } from "./testing/manualClock.ts";
import { startHttpProxy, startSocksProxy, type TestProxy } from "./testing/proxyServer.ts";

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function setUp(kind: "h2" | "https" | "http", starting: Promise<TestProxy>, auth = "") {
  const proxy = await starting;
  cleanups.push(() => proxy.close());
  const server = await startTestServer(kind, (_, response, url) => {
    if (!url.searchParams.has("watch")) return sendJson(response, 200, { path: url.pathname });
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`${JSON.stringify({ type: "ADDED", object: {} })}\n`);
  });
  cleanups.push(() => server.close());
  const client = clientOf(server.url, auth === "" ? proxy.url : proxy.url.replace("//", `//${auth}@`));
  return { proxy, server, client };
}

function clientOf(server: string, proxyUrl: string, clock: Clock = systemClock): KubeClient {
  const ca = testCertificates().cert;
  const options = { log: silentLogger, clock, userAgent: "t", env: {} };
  const client = createClient({ server, ca, proxyUrl }, options);
  cleanups.push(() => client.close());
  return client;
}

async function useBoth(client: KubeClient) {
  expect(await client.get("/api")).toEqual({ path: "/api" });
  const seen: string[] = [];
  for await (const { type } of client.watch("/w", { signal: new AbortController().signal })) seen.push(type);
  expect(seen).toEqual(["ADDED"]);
}
const target = (server: TestServer) => server.url.replace(/^https?:\/\//, "");

describe("requests and watches go through", () => {
  test.each<[string, "h2" | "https" | "http", () => Promise<TestProxy>, string]>([
    ["an http proxy", "h2", () => startHttpProxy("http"), ""],
    ["an http proxy to a server without HTTP/2", "https", () => startHttpProxy("http"), ""],
    ["an http proxy to a server without TLS", "http", () => startHttpProxy("http"), ""],
    ["an http proxy that wants a password", "h2", () => startHttpProxy("http", "u:p:w"), "u:p%3Aw"],
    ["an https proxy", "h2", () => startHttpProxy("https"), ""],
    ["a socks5 proxy", "h2", () => startSocksProxy(), ""],
    ["a socks5 proxy that wants a password", "h2", () => startSocksProxy("u:p"), "u:p"],
  ])("%s", async (_, kind, start, auth) => {
    const { proxy, server, client } = await setUp(kind, start(), auth);
    await useBoth(client);
    const who = auth === "" ? "" : `${decodeURIComponent(auth)} `;
    expect(new Set(proxy.asked)).toEqual(new Set([who + target(server)]));
    // two for a server with HTTP/2; without, its want of it is found with a third
    expect(proxy.asked.length).toBe(kind === "https" ? 3 : 2);
    expect(server.connections).toBe(proxy.asked.length);
  });
});

test("connections through a proxy are kept", async () => {
  const { proxy, client } = await setUp("h2", startHttpProxy("http"));
  for (let i = 0; i < 5; i++) await client.get("/api");
  expect(proxy.asked.length).toBe(1);
});

describe("a proxy's refusal says that it was the proxy, and can be waited for:", () => {
  test.each<[string, () => Promise<TestProxy>, string, RegExp]>([
    ["a wrong password", () => startHttpProxy("http", "u:p"), "u:s3cret", /http:\/\/127.0.0.1:\d+ answered 407 Proxy/],
    ["no password for socks5", () => startSocksProxy("u:p"), "", /socks5:.* wants a user and password/],
    ["a wrong password for socks5", () => startSocksProxy("u:p"), "u:s3cret", /does not accept the user or password/],
  ])("%s", async (_, start, auth, expected) => {
    const { client } = await setUp("h2", start(), auth);
    for (const attempt of [client.get("/api"), client.stream("/w", { signal: new AbortController().signal })]) {
      const error = await attempt.then(
        () => expect.fail("it succeeded"),
        (cause: unknown) => cause as Error & { code: string },
      );
      expect(error.message).toMatch(expected);
      expect(error.message).not.toContain("s3cret");
      expect(error.code).toBe("PROXY");
    }
  });

  test("a target that a socks5 proxy can't reach", async () => {
    const proxy = await startSocksProxy();
    cleanups.push(() => proxy.close());
    await expect(clientOf("https://refused:1", proxy.url).get("/api")).rejects.toThrow(
      /can't reach refused:1: connection refused/,
    );
  });

  test("a proxy that is not there", async () => {
    const { proxy, client } = await setUp("h2", startHttpProxy("http"));
    await proxy.close();
    await expect(client.get("/api")).rejects.toMatchObject({
      code: "ECONNREFUSED",
      message: expect.stringMatching(/the proxy http:.* can't be reached/),
    });
  });
});

describe("a proxy that accepts and says nothing", () => {
  async function setUpSilent(clock: Clock) {
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket.on("error", () => {})));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    });
    const client = clientOf("https://127.0.0.1:1", `http://127.0.0.1:${(server.address() as AddressInfo).port}`, clock);
    return { client, connected: once(server, "connection") };
  }

  test("is given up after a while", async () => {
    const clock = new ManualClock();
    const { client, connected } = await setUpSilent(clock);
    const failure = expect(client.get("/api")).rejects.toMatchObject({
      code: "TIMEOUT",
      message: expect.stringMatching(/no connection through the proxy http:.* within 15 s/),
    });
    await connected;
    clock.advance(15_000);
    await failure;
  });

  test("is let go of when the client is closed", async () => {
    const { client, connected } = await setUpSilent(systemClock);
    const signal = new AbortController().signal;
    const failures = [client.get("/api"), client.stream("/w", { signal })].map((attempt) =>
      expect(attempt).rejects.toMatchObject({ name: "NetworkError", code: "CLOSED" }),
    );
    await connected;
    client.close();
    await Promise.all(failures);
  });
});
