import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { connect, type Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import type { LogOptions } from "../kube/logOptions.ts";
import type { Pod } from "../kube/types.ts";
import type { Provider } from "../providers/contract.ts";
import { createAgentMetrics } from "../telemetry/agentMetrics.ts";
import { silentLogger } from "../telemetry/log.ts";
import { turns, until } from "../testing/turns.ts";
import { type KubeletServer, type KubeletServerOptions, startKubeletServer } from "./kubeletServer.ts";
import { makePki, type Pair, type TestPki } from "./testing/certificates.ts";
import { allowing } from "./testing/reviews.ts";

let pki: TestPki;
let server: KubeletServer;
let asked: { uid: string; container: string; options: LogOptions }[];
/** The log that the Provider gives. */
let log: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
let errors: string[];

const podOf = (uid: string, name = "p"): Pod => ({ metadata: { namespace: "ns", name, uid } });
const provider = {
  list: () => [podOf("old"), podOf("young"), podOf("other", "q")],
  logs: (pod, container, options, signal) => {
    asked.push({ uid: pod.uid, container, options });
    return log(signal);
  },
} as Partial<Provider> as Provider;

const optionsOf = (changes: Partial<KubeletServerOptions> = {}): KubeletServerOptions => ({
  host: "127.0.0.1",
  port: 0,
  ...pki.server,
  clientCa: pki.ca.cert,
  provider,
  reviews: allowing(() => true),
  node: { name: "n1", stateDir: "/", config: {} },
  metrics: createAgentMetrics(),
  clock: systemClock,
  log: pino({ level: "error" }, { write: (line) => errors.push(line) }),
  ...changes,
});

beforeAll(async () => {
  pki = makePki();
  errors = [];
  server = await startKubeletServer(optionsOf());
});
afterAll(() => server.stop());
beforeEach(() => {
  asked = [];
  errors = [];
  log = async function* () {
    yield Buffer.from("hello\n");
  };
});

async function open(path: string, who: Pair | undefined = pki.client, options: RequestOptions = {}) {
  const request = httpsRequest({
    host: "127.0.0.1",
    port: server.port,
    path,
    ca: pki.server.cert,
    agent: false,
    ...who,
    ...options,
  });
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { request, response };
}

async function get(path: string, who?: Pair | null, options?: RequestOptions): Promise<[number | undefined, string]> {
  const { response } = await open(path, who === null ? ({} as Pair) : who, options);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return [response.statusCode, Buffer.concat(chunks).toString()];
}

describe("who asks", () => {
  test("without a certificate gets 401, whatever is asked for", async () => {
    for (const path of ["/healthz", "/containerLogs/ns/p/main", "/nothing"]) {
      expect((await get(path, null))[0]).toBe(401);
    }
    expect(asked).toEqual([]);
  });

  test("with a certificate of another CA gets 401, though the CA has the same name", async () => {
    expect((await get("/containerLogs/ns/p/main", pki.stranger))[0]).toBe(401);
    expect(asked).toEqual([]);
  });

  test("with a certificate of the CA is answered", async () => {
    expect(await get("/healthz")).toEqual([200, "ok"]);
    expect(await get("/containerLogs/ns/p/main")).toEqual([200, "hello\n"]);
  });

  test("without TLS is not answered at all", async () => {
    const socket = connect(server.port, "127.0.0.1");
    socket.end("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    await once(socket, "close");
    expect(answer).not.toMatch("HTTP");
  });
});

describe("what is asked for", () => {
  test.each([
    "/",
    "/nothing",
    "/containerLogs/ns/p",
    "/containerLogs/ns/p/c/more",
    "/%zz",
    "//",
    "/containerLogs/%zz/p/c",
  ])("%s is not there: 404", async (path) => {
    const [code] = await get(path);
    expect(code).toBe(404);
    expect(errors).toEqual([]);
  });

  test("with another method is not there: 404", async () => {
    expect((await get("/containerLogs/ns/p/main", undefined, { method: "DELETE" }))[0]).toBe(404);
  });

  test("is the younger of two pods of one name, or the one that podUID names", async () => {
    await get("/containerLogs/ns/p/main");
    await get("/containerLogs/ns/p/main?podUID=old");
    expect(asked.map(({ uid }) => uid)).toEqual(["young", "old"]);
  });

  test.each(["/containerLogs/ns/none/main", "/containerLogs/other/p/main", "/containerLogs/ns/p/main?podUID=none"])(
    "%s names no pod of this node: 404",
    async (path) => {
      expect(await get(path)).toEqual([404, expect.stringMatching(/^pod (none|p) does not exist on this node$/)]);
    },
  );

  test("a container that has no log yet answers 400 and the Provider's message", async () => {
    log = () => {
      throw new HostletError("NotFound", 'container "main" in pod "p" is waiting to start: ContainerCreating');
    };
    expect(await get("/containerLogs/ns/p/main")).toEqual([400, expect.stringMatching("is waiting to start")]);
  });

  test("with a bad query answers 400 and names what is bad", async () => {
    expect(await get("/containerLogs/ns/p/main?tailLines=-1")).toEqual([400, expect.stringMatching("tailLines")]);
    expect(asked).toEqual([]);
  });

  test("an error that is nobody's fault answers 500 and is logged", async () => {
    log = () => {
      throw new Error("disk on fire");
    };
    expect((await get("/containerLogs/ns/p/main"))[0]).toBe(500);
    expect(errors).toHaveLength(1);
  });

  test("a log that breaks off in the middle ends broken, not as if it were whole", async () => {
    log = async function* () {
      yield Buffer.from("half");
      throw new Error("disk on fire");
    };
    await expect(get("/containerLogs/ns/p/main")).rejects.toThrow(/aborted|hang up/);
  });

  test("an empty log is 200 and empty", async () => {
    log = async function* () {};
    expect(await get("/containerLogs/ns/p/main")).toEqual([200, ""]);
  });
});

describe("a log that is followed", () => {
  /** Gives one line, then waits for its end. */
  function following() {
    const state = { ended: false };
    log = async function* (signal) {
      try {
        yield Buffer.from("first\n");
        if (!signal.aborted) await once(signal, "abort");
      } finally {
        state.ended = true;
      }
    };
    return state;
  }

  test("comes as it is written, and is let go when its client goes", async () => {
    const state = following();
    const { request, response } = await open("/containerLogs/ns/p/main?follow=true");
    expect(String((await once(response, "data"))[0])).toBe("first\n");
    expect(asked[0]?.options.follow).toBe(true);
    expect(state.ended).toBe(false);
    response.on("error", () => {});
    request.destroy();
    await until(() => state.ended);
    expect(errors).toEqual([]);
  });

  test("is only read as fast as its client takes it", async () => {
    const chunk = Buffer.alloc(64 * 1024, "x");
    let given = 0;
    log = async function* (signal) {
      while (!signal.aborted) {
        given++;
        yield chunk;
      }
    };
    const { request, response } = await open("/containerLogs/ns/p/main?follow=true");
    response.pause();
    let before = -1;
    while (before !== given) {
      before = given;
      await turns(200);
    }
    // what fits into both sockets' buffers, and no more
    expect(given * chunk.length).toBeLessThan(64 * 1024 * 1024);
    response.on("error", () => {});
    request.destroy();
  });

  test("ends with the server, which stops twice as well as once", async () => {
    const other = await startKubeletServer(optionsOf());
    const state = following();
    const { response } = await open("/containerLogs/ns/p/main?follow=true", pki.client, { port: other.port });
    await once(response, "data");
    response.on("error", () => {});
    const closed = new Promise((resolve) => response.once("close", resolve));
    await Promise.all([other.stop(), other.stop()]);
    await closed;
    await until(() => state.ended);
    await turns();
    expect(errors).toEqual([]);
    await other.stop();
    await expect(open("/healthz", pki.client, { port: other.port })).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test("to a client that takes nothing ends with the server, too, and that is no error", async () => {
    const other = await startKubeletServer(optionsOf());
    const chunk = Buffer.alloc(1024 * 1024, "x");
    let ended = false;
    log = async function* () {
      try {
        for (;;) yield chunk;
      } finally {
        ended = true;
      }
    };
    const { response } = await open("/containerLogs/ns/p/main?follow=true", pki.client, { port: other.port });
    response.pause();
    response.on("error", () => {});
    await turns(200);
    await other.stop();
    await until(() => ended);
    await turns();
    expect(errors).toEqual([]);
    response.destroy();
  });
});

describe("limits", () => {
  // Long enough for an honest client of a busy machine.
  const small = { newcomers: 2, headersMs: 2000, handshakeMs: 2000, requestMs: 4000, checkMs: 100, bodyBytes: 1000 };
  let limited: KubeletServer;
  beforeAll(async () => {
    limited = await startKubeletServer(optionsOf({ limits: small }));
  });
  afterAll(() => limited.stop());

  const closedBy = async (socket: Socket) => {
    socket.on("error", () => {}).resume();
    await new Promise((resolve) => socket.once("close", resolve));
  };

  test("who never begins TLS is cut off", async () => {
    await closedBy(connect(limited.port, "127.0.0.1"));
  });

  test("who dribbles headers is cut off, and others are served meanwhile", async () => {
    const slow = tlsConnect({ port: limited.port, host: "127.0.0.1", ca: pki.server.cert, ...pki.client });
    await once(slow, "secureConnect");
    slow.write("GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ");
    expect(await get("/healthz", pki.client, { port: limited.port })).toEqual([200, "ok"]);
    await closedBy(slow);
  });

  test("a crowd that says nothing keeps nobody out: the oldest of it goes", async () => {
    const crowd = Array.from({ length: 5 }, () => connect(limited.port, "127.0.0.1"));
    const gone = crowd.map(closedBy);
    expect(await get("/healthz", pki.client, { port: limited.port })).toEqual([200, "ok"]);
    await Promise.all(gone);
  });

  test("headers without end get 431, and a body that is too long 413", async () => {
    const bomb = { "x-bomb": "x".repeat(100 * 1024) };
    // The server may close while the rest of it is still on its way: then the answer is lost.
    const bombed = get("/healthz", pki.client, { port: limited.port, headers: bomb });
    expect(
      await bombed.then(
        ([code]) => code,
        (error: Error) => error.message,
      ),
    ).toSatisfy((what: unknown) => [431, "socket hang up", "read ECONNRESET", "write EPIPE"].includes(what as string));
    const headers = { "content-length": 2000 };
    const { request, response } = await open("/healthz", pki.client, { port: limited.port, method: "POST", headers });
    expect(response.statusCode).toBe(413);
    response.resume();
    request.on("error", () => {}).destroy();
  });

  test("a body without end breaks its connection", async () => {
    const socket = tlsConnect({ port: limited.port, host: "127.0.0.1", ca: pki.server.cert, ...pki.client });
    const gone = closedBy(socket);
    socket.write("POST /nothing HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    const chunk = `3e8\r\n${"x".repeat(1000)}\r\n`;
    const timer = setInterval(() => socket.write(chunk), 5);
    await gone;
    clearInterval(timer);
  });

  test("who is not known has no second request on a connection", async () => {
    const { response } = await open("/healthz", {} as Pair, { port: limited.port });
    expect([response.statusCode, response.headers.connection]).toEqual([401, "close"]);
    response.resume();
  });
});

describe("certificates", () => {
  test("can be exchanged; connections from then on have the new one, and clients of the old CA get 401", async () => {
    const other = await startKubeletServer(optionsOf());
    const newer = makePki();
    other.useCertificates({ ...newer.server, clientCa: newer.ca.cert });
    const to = { port: other.port, ca: newer.server.cert };
    expect((await get("/healthz", newer.client, to))[0]).toBe(200);
    expect((await get("/healthz", pki.client, to))[0]).toBe(401);
    await expect(get("/healthz", pki.client, { port: other.port })).rejects.toThrow(/certificate/);
    await other.stop();
  });

  test("that can't be used leave those of before", async () => {
    const other = await startKubeletServer(optionsOf());
    expect(() => other.useCertificates({ cert: "no", key: "no", clientCa: pki.ca.cert })).toThrow();
    expect((await get("/healthz", pki.client, { port: other.port }))[0]).toBe(200);
    await other.stop();
  });

  test("may come later: until then no handshake holds", async () => {
    const { cert: _cert, key: _key, ...without } = optionsOf();
    const other = await startKubeletServer(without);
    await expect(get("/healthz", pki.client, { port: other.port })).rejects.toThrow(/handshake/);
    other.useCertificates({ ...pki.server, clientCa: pki.ca.cert });
    expect((await get("/healthz", pki.client, { port: other.port }))[0]).toBe(200);
    await other.stop();
  });
});

test("a port that is in use is named, with what to do", async () => {
  const starting = startKubeletServer(optionsOf({ port: server.port, log: silentLogger }));
  await expect(starting).rejects.toMatchObject({
    code: "ListenFailed",
    message: expect.stringMatching(new RegExp(`127.0.0.1:${server.port}: the port is in use.*--kubelet-port`)),
  });
});

test("an address that is not this host's is named", async () => {
  const starting = startKubeletServer(optionsOf({ host: "192.0.2.1", log: silentLogger }));
  await expect(starting).rejects.toMatchObject({ code: "ListenFailed", message: /192\.0\.2\.1:0/ });
});
