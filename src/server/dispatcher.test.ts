import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HostletError } from "../errors.ts";
import { silentLogger } from "../telemetry/log.ts";
import { until } from "../testing/turns.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { Attributes } from "./guard/attributes.ts";
import type { Verdict } from "./guard/guard.ts";
import type { Call, Route } from "./route.ts";

let server: Server;
let dispatcher: Dispatcher;
let asked: (readonly Attributes[])[];
let verdict: Verdict;
let calls: Call[];
let upgrade: NonNullable<Route["upgrade"]>;

const routes: Route[] = [
  {
    methods: ["GET"],
    path: "/plain/:word",
    access: ["stats"],
    handle: (call, response) => void response.end(call.params.word),
  },
  {
    methods: ["GET", "POST"],
    path: "/stream/:name",
    upgrade: (call, socket, head) => {
      calls.push(call);
      return upgrade(call, socket, head);
    },
  },
];

beforeEach(async () => {
  [asked, calls, verdict] = [[], [], { user: { username: "u", groups: [] } }];
  upgrade = async (_call, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: words\r\n\r\n");
    for await (const chunk of socket) socket.write(chunk as Buffer);
  };
  const guard = {
    async authorize(_request: IncomingMessage, attributes: readonly Attributes[]) {
      asked.push(attributes);
      return verdict;
    },
  };
  dispatcher = new Dispatcher({ routes, guard, log: silentLogger, maxBodyBytes: 1000 });
  server = createServer((request, response) => void dispatcher.request(request, response));
  server.on("upgrade", (request, socket, head) => void dispatcher.upgrade(request, socket as Socket, head));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(async () => {
  dispatcher.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const port = () => (server.address() as AddressInfo).port;

async function ask(path: string, method = "GET", headers: Record<string, string> = {}) {
  const request = httpRequest({ host: "127.0.0.1", port: port(), path, method, headers, agent: false }).end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += chunk;
  return [response.statusCode, text];
}
const words = { connection: "Upgrade", upgrade: "words" };

async function open(path: string) {
  const request = httpRequest({
    host: "127.0.0.1",
    port: port(),
    path,
    method: "POST",
    headers: words,
    agent: false,
  }).end();
  const [response, socket] = (await once(request, "upgrade")) as [IncomingMessage, Socket];
  return { response, socket };
}

test("an upgrade passes the same guard as a request, with the route's rights and the method's verb", async () => {
  await ask("/plain/x");
  await (await open("/stream/s")).socket.destroy();
  await ask("/nothing");
  expect(asked).toEqual([
    [{ verb: "get", subresource: "stats" }],
    [{ verb: "create", subresource: "proxy" }],
    [{ verb: "get", subresource: "proxy" }],
  ]);
});

test("an upgrade that the guard refuses gets an ordinary answer, and never reaches its route", async () => {
  verdict = { status: 403, message: "no" };
  expect(await ask("/stream/s", "POST", words)).toEqual([403, "no"]);
  expect(calls).toEqual([]);
});

test("an upgraded connection carries bytes both ways, and ends with its route", async () => {
  const { socket } = await open("/stream/s?command=a&command=b");
  socket.write("hello");
  expect(String((await once(socket, "data"))[0])).toBe("hello");
  expect(calls[0]?.params).toEqual({ name: "s" });
  expect(calls[0]?.query.getAll("command")).toEqual(["a", "b"]);
  socket.end();
  await once(socket, "close");
});

test("the call's signal aborts when the client of a stream is gone", async () => {
  const { socket } = await open("/stream/s");
  expect(calls[0]?.signal.aborted).toBe(false);
  socket.destroy();
  await until(() => calls[0]?.signal.aborted === true);
});

test("streams end with the dispatcher", async () => {
  const { socket } = await open("/stream/s");
  socket.on("error", () => {}).resume();
  const closed = once(socket, "close");
  dispatcher.stop();
  dispatcher.stop();
  await closed;
  expect(calls[0]?.signal.aborted).toBe(true);
});

test("what a stream's route throws before its first byte is the answer", async () => {
  upgrade = () => Promise.reject(new HostletError("NotSupported", "this Provider can't"));
  expect(await ask("/stream/s", "POST", words)).toEqual([501, "this Provider can't"]);
});

test("what it throws later breaks the connection", async () => {
  upgrade = async (_call, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: words\r\n\r\nhalf");
    throw new Error("on fire");
  };
  const socket = connect(port(), "127.0.0.1");
  socket.write("POST /stream/s HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: words\r\n\r\n");
  let got = "";
  socket.on("data", (chunk) => {
    got += chunk;
  });
  socket.on("error", () => {});
  await once(socket, "close");
  expect(got).toMatch(/^HTTP\/1.1 101/);
  expect(got).not.toMatch("on fire");
});

test("a path without streams answers a request that would rather upgrade", async () => {
  expect(await ask("/plain/x", "GET", { connection: "Upgrade", upgrade: "h2c" })).toEqual([200, "x"]);
  expect(await ask("/nothing", "GET", { connection: "Upgrade", upgrade: "h2c" })).toEqual([404, "404 page not found"]);
});

test("a path with nothing but streams says so to an ordinary request", async () => {
  expect(await ask("/stream/s", "POST")).toEqual([400, expect.stringMatching("Upgrade request required")]);
});
