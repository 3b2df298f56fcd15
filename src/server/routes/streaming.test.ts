import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { type Duplex, PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { HostletError } from "../../errors.ts";
import type { Pod } from "../../kube/types.ts";
import type { Ability, Provider } from "../../providers/contract.ts";
import type { AttachRequest, ContainerStreams, ExecRequest, StreamsEnd } from "../../runtimes/streams.ts";
import { createAgentMetrics } from "../../telemetry/agentMetrics.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { type KubeletServer, startKubeletServer } from "../kubeletServer.ts";
import { makePki, type TestPki } from "../testing/certificates.ts";
import { allowing } from "../testing/reviews.ts";
import { type ClientStream, SpdyClient } from "../testing/spdyClient.ts";
import { WebSocketTunnel } from "../testing/webSocketTunnel.ts";

/** A command: what it is written to, what it says, and when it ends. */
class FakeCommand implements ContainerStreams {
  readonly stdin?: PassThrough;
  readonly stdout = new PassThrough();
  readonly stderr?: PassThrough;
  readonly sizes: number[][] = [];
  readonly ended: Promise<StreamsEnd>;
  closed = false;
  #end!: (end: StreamsEnd) => void;
  #fail!: (error: Error) => void;

  constructor({ stdin, tty }: { stdin: boolean; tty: boolean }) {
    if (stdin) this.stdin = new PassThrough();
    if (!tty) this.stderr = new PassThrough();
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
    });
    this.ended.catch(() => {});
  }

  end(end: StreamsEnd): void {
    this.stdout.end();
    this.stderr?.end();
    this.#end(end);
  }

  fail(error: Error): void {
    this.#fail(error);
    this.stdout.destroy(error);
    this.stderr?.destroy(error);
  }

  resize(rows: number, columns: number): void {
    this.sizes.push([rows, columns]);
  }

  close(): void {
    this.closed = true;
  }
}

let pki: TestPki;
let server: KubeletServer;
let echoServer: Server;
let clock: ManualClock;
let asked: unknown[];
let able: Ability;
let command: (request: ExecRequest | (AttachRequest & { tty: boolean })) => FakeCommand;
let latest: { streams: FakeCommand; signal: AbortSignal } | undefined;

const pod: Pod = { metadata: { namespace: "ns", name: "p", uid: "u1" } };
const open = (kind: string, request: ExecRequest | AttachRequest, container: string, signal: AbortSignal) => {
  asked.push([kind, container, request]);
  if (container === "gone") throw new HostletError("NotFound", 'container "gone" in pod "p" is not running');
  const streams = command({ tty: false, ...request } as ExecRequest);
  latest = { streams, signal };
  return streams;
};
const provider = {
  list: () => [pod],
  capabilities: () => ({ exec: able, attach: able, portForward: able, stats: "not here, in this test" }),
  exec: async (_pod, container, request, signal) => open("exec", request, container, signal),
  attach: async (_pod, container, request, signal) => open("attach", request, container, signal),
  portForward: async (_pod, port) => {
    if (port === 1) throw new Error("failed to connect to port 1 of the pod: connection refused");
    const socket = connect({
      port: (echoServer.address() as AddressInfo).port,
      host: "127.0.0.1",
      allowHalfOpen: true,
    });
    await once(socket, "connect");
    return socket;
  },
} as Partial<Provider> as Provider;

beforeAll(async () => {
  pki = makePki();
  clock = new ManualClock(Date.now());
  echoServer = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(echoServer, "listening");
  server = await startKubeletServer({
    host: "127.0.0.1",
    port: 0,
    ...pki.server,
    clientCa: pki.ca.cert,
    provider,
    reviews: allowing((user) => user.username !== "nobody"),
    node: { name: "n1", stateDir: "/", config: {} },
    metrics: createAgentMetrics(),
    clock,
    log: silentLogger,
  });
});
afterAll(async () => {
  await server.stop();
  await new Promise((resolve) => echoServer.close(resolve));
});
beforeEach(() => {
  asked = [];
  able = true;
  latest = undefined;
  command = (request) => new FakeCommand(request);
});

interface Asked {
  protocols?: string[];
  method?: string;
  headers?: Record<string, string>;
  certificate?: boolean;
}

/** Asks for SPDY/3.1; the upgraded connection, or the answer. */
async function spdy(path: string, { protocols = ["v4.channel.k8s.io"], method = "POST", ...more }: Asked = {}) {
  const headers = {
    connection: "Upgrade",
    upgrade: "SPDY/3.1",
    ...(protocols.length > 0 && { "x-stream-protocol-version": protocols }),
    ...more.headers,
  };
  const who = more.certificate === false ? {} : pki.client;
  const target = { host: "127.0.0.1", port: server.port, path, method, headers, ca: pki.server.cert, agent: false };
  const request = httpsRequest({ ...target, ...who });
  request.end();
  return new Promise<{ response: IncomingMessage; client?: SpdyClient; body?: string }>((resolve, reject) => {
    request.on("error", reject);
    request.on("upgrade", (response, socket, head) => resolve({ response, client: new SpdyClient(socket, head) }));
    request.on("response", async (response) => resolve({ response, body: await text(response) }));
  });
}

/** With the streams of those names open. */
async function spdyStreams<Name extends string>(path: string, names: Name[], options: Asked = {}) {
  const { client } = await spdy(path, options);
  const streams = {} as Record<Name, ClientStream>;
  for (const name of names) streams[name] = await client!.open({ streamtype: name });
  return { client: client!, streams };
}

/** A WebSocket client, with what came on each channel. */
async function webSocket(path: string, protocol: string | undefined) {
  const url = `wss://127.0.0.1:${server.port}${path}`;
  const socket = new WebSocket(url, protocol === undefined ? [] : [protocol], { ca: pki.server.cert, ...pki.client });
  const channels: Record<number, Buffer> = {};
  socket.on("message", (data, isBinary) => {
    const message = data as Buffer;
    const number = isBinary ? message[0]! : message[0]! - 0x30;
    const rest = isBinary ? message.subarray(1) : Buffer.from(message.subarray(1).toString(), "base64");
    channels[number] = Buffer.concat([channels[number] ?? Buffer.alloc(0), rest]);
  });
  await once(socket, "open");
  const closed = once(socket, "close");
  return { socket, channels, closed };
}

const success = { metadata: {}, status: "Success" };
const statusOf = (stream: ClientStream) => JSON.parse(stream.text) as Record<string, unknown>;

describe("exec by SPDY", () => {
  const path = "/exec/ns/p/main?input=1&output=1&error=1&command=cat&command=-n";
  const all: ("error" | "stdin" | "stdout" | "stderr")[] = ["error", "stdin", "stdout", "stderr"];

  it("gives the command, its streams and its end", async () => {
    const { client, streams } = await spdyStreams(path, all);
    client.send(streams.stdin, "some input", true);
    await client.until(() => streams.error.replied, "the replies");
    expect(asked).toEqual([["exec", "main", { argv: ["cat", "-n"], stdin: true, tty: false }]]);
    const { streams: command } = latest!;
    expect(await text(command.stdin!)).toBe("some input");
    command.stdout.write("out");
    command.stderr!.write("err");
    command.end({ exitCode: 3 });
    await client.closed;
    expect([streams.stdout.text, streams.stderr.text, streams.stdout.fin]).toEqual(["out", "err", true]);
    expect(statusOf(streams.error)).toMatchObject({
      status: "Failure",
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: "3" }] },
    });
    expect(command.closed).toBe(true);
  });

  it.each(["/exec/ns/p/main", "/exec/ns/p/u1/main"])("is there at %s, by GET and by POST", async (base) => {
    for (const method of ["GET", "POST"]) {
      const { client, streams } = await spdyStreams(`${base}?output=1&command=x`, ["error", "stdout"], { method });
      await client.until(() => streams.stdout.replied, "the replies");
      latest!.streams.end({ exitCode: 0 });
      await client.closed;
      expect(statusOf(streams.error)).toEqual(success);
    }
  });

  it.each([
    ["channel.k8s.io", "v1", ""],
    ["v2.channel.k8s.io", "v2", ""],
    ["v3.channel.k8s.io", "v3", ""],
  ])("speaks %s, where the error stream is a text", async (protocol) => {
    for (const exitCode of [0, 7]) {
      const options = { protocols: ["v9.channel.k8s.io", protocol] };
      const { client, streams } = await spdyStreams("/exec/ns/p/main?output=1&command=x", ["error", "stdout"], options);
      await client.until(() => streams.stdout.replied, "the replies");
      latest!.streams.end({ exitCode });
      await client.closed;
      expect(streams.error.text).toBe(exitCode === 0 ? "" : "command terminated with non-zero exit code: exit code 7");
    }
  });

  it("has a terminal with sizes, and one stream of output", async () => {
    const path = "/exec/ns/p/main?input=1&output=1&error=1&tty=1&command=sh";
    const { client, streams } = await spdyStreams(path, ["error", "stdin", "stdout", "resize"]);
    client.send(streams.resize, '{"Width":80,"Heig');
    client.send(streams.resize, 'ht":24}\n{"Width":-1}{"Width":100,"Height":50}\n');
    await client.until(() => streams.resize.replied, "the replies");
    const { streams: command } = latest!;
    while (command.sizes.length < 2) await new Promise(setImmediate);
    expect(command.sizes).toEqual([
      [24, 80],
      [50, 100],
    ]);
    command.end({ exitCode: 0 });
    await client.closed;
    expect(asked).toMatchObject([["exec", "main", { tty: true }]]);
  });

  it("shows why a command could not be started where its errors are", async () => {
    const { client, streams } = await spdyStreams(path, all);
    await client.until(() => streams.error.replied, "the replies");
    latest!.streams.end({ exitCode: 127, message: 'exec: "cat": not found' });
    await client.closed;
    expect(streams.stderr.text).toBe('exec: "cat": not found\n');
    expect(statusOf(streams.error)).toMatchObject({ reason: "NonZeroExitCode" });
  });

  it("says that the connection to the command was lost", async () => {
    const { client, streams } = await spdyStreams(path, all);
    await client.until(() => streams.error.replied, "the replies");
    latest!.streams.fail(new Error("its shim was killed"));
    await client.closed;
    expect(statusOf(streams.error)).toMatchObject({ reason: "InternalError", code: 500 });
    expect(streams.error.text).toContain("its shim was killed");
  });

  it("ends the command when its client goes, and when it creates no streams in time", async () => {
    const { client, streams } = await spdyStreams(path, all);
    await client.until(() => streams.error.replied, "the replies");
    const first = latest!;
    client.destroy();
    if (!first.signal.aborted) await once(first.signal, "abort");
    expect(first.signal.aborted).toBe(true);

    const { client: idle } = await spdy(path);
    await idle!.open({ streamtype: "error" });
    clock.advance(31_000);
    await idle!.closed;
    expect(latest!.streams.closed).toBe(true);
  });

  it("refuses a stream that it has no use for, and goes on", async () => {
    const { client, streams } = await spdyStreams("/exec/ns/p/main?output=1&command=x", ["error"]);
    const odd = await client.open({ streamtype: "nonsense" });
    await client.until(() => odd.reset !== undefined, "the refusal");
    const stdout = await client.open({ streamtype: "stdout" });
    await client.until(() => stdout.replied, "the reply");
    latest!.streams.end({ exitCode: 0 });
    await client.closed;
    expect(statusOf(streams.error)).toEqual(success);
  });

  it.each<[string, string, Asked, number, string]>([
    ["an unknown pod", "/exec/ns/q/main?output=1&command=x", {}, 404, "pod q does not exist"],
    ["another UID", "/exec/ns/p/u2/main?output=1&command=x", {}, 404, "pod p does not exist"],
    ["a container that has ended", "/exec/ns/p/gone?output=1&command=x", {}, 400, "is not running"],
    ["no command", "/exec/ns/p/main?output=1", {}, 400, "must specify a command"],
    ["no stream", "/exec/ns/p/main?command=x", {}, 400, "at least 1 of stdin, stdout, stderr"],
    ["no protocol of ours", path, { protocols: ["v9.channel.k8s.io"] }, 403, "client supports [v9.channel.k8s.io]"],
    ["another upgrade", path, { headers: { upgrade: "h2c" } }, 400, "is not SPDY/3.1"],
    ["nobody's name", path, { certificate: false }, 401, "Unauthorized"],
    ["a method that is none", path, { method: "PUT" }, 404, "404 page not found"],
  ])("answers %s in plain HTTP", async (_what, path, options, code, words) => {
    const { response, body } = await spdy(path, options);
    expect([response.statusCode, body]).toEqual([code, expect.stringContaining(words)]);
  });

  it("answers 501 with the Provider's sentence, and 400 to what asks for no upgrade", async () => {
    able = "a Slurm job has no step to enter";
    for (const path of ["/exec/ns/p/main?output=1&command=x", "/attach/ns/p/main?output=1", "/portForward/ns/p"]) {
      const { response, body } = await spdy(path);
      expect([response.statusCode, body]).toEqual([501, able]);
    }
    const { response } = await spdy(path, { headers: { connection: "close", upgrade: "" } });
    expect(response.statusCode).toBe(400);
  });
});

describe("exec by WebSocket", () => {
  const path = "/exec/ns/p/main?input=1&output=1&error=1&command=cat";

  it("v5 carries input, its end, output and the status", async () => {
    const { socket, channels, closed } = await webSocket(path, "v5.channel.k8s.io");
    socket.send(Buffer.from("\x00some "));
    socket.send(Buffer.from("\x00input"));
    socket.send(Buffer.from("\x09for nobody"));
    socket.send(Buffer.from([255, 0]));
    const { streams: command } = latest!;
    expect(await text(command.stdin!)).toBe("some input");
    command.stdout.write("out");
    command.stderr!.write("err");
    command.end({ exitCode: 2 });
    const [code] = await closed;
    expect([code, String(channels[1]), String(channels[2])]).toEqual([1000, "out", "err"]);
    expect(JSON.parse(String(channels[3]))).toMatchObject({ reason: "NonZeroExitCode" });
  });

  it.each([
    ["v4.channel.k8s.io", true],
    ["v4.base64.channel.k8s.io", false],
    ["channel.k8s.io", true],
    ["base64.channel.k8s.io", false],
    [undefined, true],
  ])("speaks %s", async (protocol, binary) => {
    const { socket, channels, closed } = await webSocket(path, protocol);
    expect(socket.protocol).toBe(protocol ?? "");
    socket.send(binary ? Buffer.from("\x00input") : `0${Buffer.from("input").toString("base64")}`);
    const { streams: command } = latest!;
    const [chunk] = await once(command.stdin!, "data");
    expect(String(chunk)).toBe("input");
    command.stdout.write(Buffer.from([0, 255, 10]));
    command.end({ exitCode: 0 });
    await closed;
    expect([...channels[1]!]).toEqual([0, 255, 10]);
    expect(String(channels[3] ?? "")).toBe(protocol?.startsWith("v4") ? JSON.stringify(success) : "");
  });

  it("has a terminal with sizes", async () => {
    const { socket, closed } = await webSocket(`${path}&tty=1`, "v4.channel.k8s.io");
    socket.send(Buffer.from('\x04{"Width":80,"Height":24}'));
    const { streams: command } = latest!;
    while (command.sizes.length < 1) await new Promise(setImmediate);
    expect(command.sizes).toEqual([[24, 80]]);
    command.end({ exitCode: 0 });
    await closed;
  });

  it("stops a client that pours in what nobody reads, and is told of one that goes", async () => {
    const { socket } = await webSocket(path, "v4.channel.k8s.io");
    const message = Buffer.alloc(64 * 1024);
    for (let i = 0; i < 300; i++) socket.send(message);
    const { streams: command, signal } = latest!;
    while (command.stdin!.writableLength === 0) await new Promise(setImmediate);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(socket.bufferedAmount).toBeGreaterThan(5_000_000);
    socket.terminate();
    command.stdin!.resume();
    if (!signal.aborted) await once(signal, "abort");
  });

  it("is refused with no protocol of ours, and with a handshake that is none", async () => {
    const refused = new WebSocket(`wss://127.0.0.1:${server.port}${path}`, ["v9"], {
      ca: pki.server.cert,
      ...pki.client,
    });
    const [error] = await once(refused, "error");
    expect(String(error)).toContain("403");
    const headers = { upgrade: "websocket", "sec-websocket-version": "13" };
    const { response } = await spdy(path, { protocols: [], headers });
    expect([400, 405]).toContain(response.statusCode);
  });
});

describe("attach", () => {
  it("joins, and calls it a success however the container ends", async () => {
    const { client, streams } = await spdyStreams("/attach/ns/p/main?output=1", ["error", "stdout"]);
    await client.until(() => streams.stdout.replied, "the replies");
    expect(asked).toEqual([["attach", "main", { stdin: false }]]);
    latest!.streams.stdout.write("line");
    latest!.streams.end({ exitCode: 9 });
    await client.closed;
    expect([streams.stdout.text, statusOf(streams.error)]).toEqual(["line", success]);
  });
});

describe("run", () => {
  const run = async (query: string, end: StreamsEnd) => {
    command = (request) => {
      const streams = new FakeCommand(request);
      streams.stdout.write("out ");
      streams.stderr!.write("err");
      streams.end(end);
      return streams;
    };
    const { response, body } = await spdy(`/run/ns/p/main?${query}`, { headers: { connection: "close", upgrade: "" } });
    return [response.statusCode, body];
  };

  it("answers with the output, or with 500 where the command failed", async () => {
    expect(await run("cmd=ls%20-l", { exitCode: 0 })).toEqual([200, "out err"]);
    expect(asked).toEqual([["exec", "main", { argv: ["ls", "-l"], stdin: false, tty: false }]]);
    expect(await run("cmd=ls", { exitCode: 3 })).toEqual([500, "command 'ls' exited with 3: out err"]);
    expect((await run("", { exitCode: 0 }))[0]).toBe(400);
  });
});

describe("port-forward", () => {
  const protocols = ["portforward.k8s.io"];
  const openPair = async (client: SpdyClient, id: string, port: number) => {
    const headers = { port: String(port), ...(id !== "" && { requestid: id }) };
    const error = await client.open({ streamtype: "error", ...headers });
    return { error, data: await client.open({ streamtype: "data", ...headers }) };
  };
  const exchange = async (client: SpdyClient) => {
    const pairs = [await openPair(client, "0", 80), await openPair(client, "1", 81), await openPair(client, "", 82)];
    for (const [i, { data }] of pairs.entries()) client.send(data, `hello ${i}`, true);
    await client.until(() => pairs.every(({ data, error }) => data.fin && error.fin), "the answers");
    expect(pairs.map(({ data, error }) => [data.text, error.text])).toEqual([
      ["hello 0", ""],
      ["hello 1", ""],
      ["hello 2", ""],
    ]);
    const refused = await openPair(client, "3", 1);
    await client.until(() => refused.error.fin && refused.data.fin, "the error");
    expect(refused.error.text).toBe(
      "an error occurred forwarding port 1: failed to connect to port 1 of the pod: connection refused",
    );
    const again = await openPair(client, "4", 80);
    client.send(again.data, "still here", true);
    await client.until(() => again.data.fin, "the answer");
    expect(again.data.text).toBe("still here");
    client.destroy();
  };

  it.each(["/portForward/ns/p", "/portForward/ns/p/u1"])("forwards many connections at %s", async (path) => {
    const { client, response } = await spdy(path, { protocols });
    expect(response.headers["x-stream-protocol-version"]).toBe("portforward.k8s.io");
    await exchange(client!);
  });

  it("forwards through a WebSocket that tunnels SPDY", async () => {
    const protocol = "SPDY/3.1+portforward.k8s.io";
    const request = httpsRequest({
      host: "127.0.0.1",
      port: server.port,
      path: "/portForward/ns/p",
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": protocol,
      },
      ca: pki.server.cert,
      agent: false,
      ...pki.client,
    }).end();
    const [response, socket, head] = (await once(request, "upgrade")) as [IncomingMessage, Duplex, Buffer];
    expect(response.headers["sec-websocket-protocol"]).toBe(protocol);
    await exchange(new SpdyClient(new WebSocketTunnel(socket, head)));
  });

  it("refuses streams of no port, twice the same, and those whose other half does not come", async () => {
    const { client } = await spdy("/portForward/ns/p", { protocols });
    for (const port of ["0", "65536", "x", ""]) {
      const bad = await client!.open({ streamtype: "data", port, requestid: `bad ${port}` });
      await client!.until(() => bad.reset !== undefined, "the refusal");
    }
    const half = await client!.open({ streamtype: "error", port: "80", requestid: "half" });
    const twice = await client!.open({ streamtype: "error", port: "80", requestid: "half" });
    await client!.until(() => twice.reset !== undefined, "the refusal");
    clock.advance(31_000);
    await client!.until(() => half.fin, "the end");
    expect(half.text).toContain("timed out");
    client!.destroy();
  });

  it("forwards one connection for each port in channels of a WebSocket", async () => {
    const { socket, channels, closed } = await webSocket("/portForward/ns/p?port=80,1&port=82", "v4.channel.k8s.io");
    socket.send(Buffer.from("\x00hello"));
    while ((channels[0]?.length ?? 0) < 7 || (channels[3]?.length ?? 0) < 10) await new Promise(setImmediate);
    expect([...channels[0]!.subarray(0, 2), String(channels[0]!.subarray(2))]).toEqual([80, 0, "hello"]);
    expect([...channels[4]!]).toEqual([82, 0]);
    expect(String(channels[3]!.subarray(2))).toContain("connection refused");
    socket.close();
    await closed;
    const { response } = await spdy("/portForward/ns/p?port=x", {
      protocols: [],
      headers: { upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" },
      method: "GET",
    });
    expect(response.statusCode).toBe(400);
  });
});
