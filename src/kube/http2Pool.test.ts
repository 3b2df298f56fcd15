import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { silentLogger } from "../telemetry/log.ts";
import { createClient, type KubeClient } from "./client.ts";
import { startTestServer, type TestResponse, type TestServer, testCertificates } from "./testing/apiServer.ts";
import { ManualClock } from "./testing/manualClock.ts";

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const line = `${JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: "5" } } })}\n`;

function clientOf(url: string, clock: ManualClock): KubeClient {
  const client = createClient(
    { server: url, ca: testCertificates().cert },
    { log: silentLogger, clock, userAgent: "t" },
  );
  cleanups.push(() => client.close());
  return client;
}

/** A server whose watches begin with one event, and stay. */
async function setUp(): Promise<{ server: TestServer; clock: ManualClock; responses: TestResponse[] }> {
  const responses: TestResponse[] = [];
  const server = await startTestServer("h2", (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write(line);
    responses.push(response);
  });
  cleanups.push(() => server.close());
  return { server, clock: new ManualClock(), responses };
}

async function openWatch(client: KubeClient, signal = new AbortController().signal) {
  const watch = client.watch("/w", { signal })[Symbol.asyncIterator]();
  expect((await watch.next()).value).toMatchObject({ type: "BOOKMARK" });
  return watch;
}

test("a connection that no stream uses is closed after a while, and the next stream makes another", async () => {
  const { server, clock } = await setUp();
  const client = clientOf(server.url, clock);
  const stop = new AbortController();
  const watch = await openWatch(client, stop.signal);
  stop.abort(new Error("enough"));
  await expect(watch.next()).rejects.toThrow("enough");
  const [session] = server.sessions;
  const closed = once(session ?? expect.fail(), "close");
  clock.advance(30_000);
  await closed;
  await openWatch(client);
  expect(server.connections).toBe(2);
});

test("a watch on a connection that has died without a word ends with an error", async () => {
  const { server, clock } = await setUp();
  const upstream = new URL(server.url);
  const pipes: [Socket, Socket][] = [];
  const proxy = createServer((near) => {
    const far = connect(Number(upstream.port), upstream.hostname);
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on("error", () => {});
    pipes.push([near, far]);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  cleanups.push(
    () => new Promise<void>((resolve) => void proxy.close(() => resolve())),
    () => pipes.flat().forEach((socket) => void socket.destroy()),
  );
  const client = clientOf(`https://127.0.0.1:${(proxy.address() as AddressInfo).port}`, clock);
  const watch = await openWatch(client);
  const next = watch.next();
  for (const [near, far] of pipes) {
    near.unpipe(far);
    far.unpipe(near);
  }
  clock.advance(30_000 + 30_000 + 15_000);
  await expect(next).rejects.toMatchObject({ name: "NetworkError" });
});

test("a connection that answers pings stays", async () => {
  const { server, clock, responses } = await setUp();
  const client = clientOf(server.url, clock);
  const watch = await openWatch(client);
  const [session] = server.sessions;
  clock.advance(30_000);
  const pinged = once(session ?? expect.fail(), "ping");
  clock.advance(30_000);
  await pinged;
  responses[0]?.write(line);
  expect((await watch.next()).value).toMatchObject({ type: "BOOKMARK" });
});

test("after a GOAWAY open watches go on, and new ones take another connection", async () => {
  const { server, clock, responses } = await setUp();
  const client = clientOf(server.url, clock);
  const first = await openWatch(client);
  const [session] = server.sessions;
  session?.goaway();
  const second = await openWatch(client).catch(() => openWatch(client));
  responses[0]?.write(line);
  expect((await first.next()).value).toMatchObject({ type: "BOOKMARK" });
  expect(second).toBeDefined();
  expect(server.connections).toBe(2);
});

test("a watch that is aborted while it waits for a connection ends at once", async () => {
  const sockets: Socket[] = [];
  const mute = createServer((socket) => void sockets.push(socket));
  await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
  cleanups.push(
    () => new Promise<void>((resolve) => void mute.close(() => resolve())),
    () => sockets.forEach((socket) => void socket.destroy()),
  );
  const clock = new ManualClock();
  const client = clientOf(`https://127.0.0.1:${(mute.address() as AddressInfo).port}`, clock);
  const stop = new AbortController();
  const opening = openWatch(client, stop.signal);
  await once(mute, "connection");
  stop.abort(new Error("enough"));
  await expect(opening).rejects.toThrow("enough");
  const waiting = expect(openWatch(client)).rejects.toMatchObject({ code: "TIMEOUT" });
  await new Promise(setImmediate);
  clock.advance(15_000);
  await waiting;
});

test("a closed client takes no watch and leaves no connection", async () => {
  const { server, clock } = await setUp();
  const client = clientOf(server.url, clock);
  const watch = await openWatch(client);
  const [session] = server.sessions;
  const closed = once(session ?? expect.fail(), "close");
  client.close();
  client.close();
  await expect(watch.next()).rejects.toMatchObject({ name: "NetworkError" });
  await closed;
  await expect(openWatch(client)).rejects.toMatchObject({ code: "CLOSED" });
});
