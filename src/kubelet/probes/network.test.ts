import { once } from "node:events";
import { createServer as createHttp, type RequestListener, type Server } from "node:http";
import { createServer as createHttp2, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, createServer as createTcp, type Server as TcpServer } from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { createAuthority } from "../../pki/authority.ts";
import { encodeRequest, healthStatus, probeGrpc } from "./grpc.ts";
import { probeHttp } from "./http.ts";
import { httpRequest } from "./target.ts";
import { probeTcp } from "./tcpSocket.ts";

const host = "127.0.0.1";
const servers: (Server | TcpServer | Http2Server)[] = [];
const { signal } = new AbortController();

afterEach(async () => {
  for (const server of servers.splice(0)) {
    if ("closeAllConnections" in server) server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function listen(server: Server | TcpServer | Http2Server): Promise<number> {
  servers.push(server);
  server.listen(0, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const port = await listen(createTcp());
  const server = servers.pop()!;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function http(listener: RequestListener) {
  const port = await listen(createHttp(listener));
  const ask = (path: string, headers: Record<string, string> = {}, abort = signal) => {
    const httpHeaders = Object.entries(headers).map(([name, value]) => ({ name, value }));
    return probeHttp(httpRequest({ port, path, httpHeaders }, { name: "main" }, host, "kube-probe/test"), abort);
  };
  return { port, ask };
}

describe("an HTTP probe", () => {
  test("says what it has to, and closes the connection", async () => {
    let seen: unknown;
    const { port, ask } = await http((request, response) => {
      seen = { url: request.url, ...request.headers };
      response.end("ok");
    });
    expect(await ask("/healthz?full", { "X-Custom": "1" })).toEqual({ result: "success", output: "" });
    expect(seen).toEqual({
      url: "/healthz?full",
      host: `${host}:${port}`,
      "user-agent": "kube-probe/test",
      accept: "*/*",
      "x-custom": "1",
      connection: "close",
    });
    await ask("/", { Host: "name.example" });
    expect(seen).toMatchObject({ host: "name.example" });
  });

  test.each([
    [200, { result: "success", output: "" }],
    [204, { result: "success", output: "" }],
    [304, { result: "warning", output: "Probe terminated redirects, Response body: " }],
    [400, { result: "failure", output: "HTTP probe failed with statuscode: 400" }],
    [500, { result: "failure", output: "HTTP probe failed with statuscode: 500" }],
  ])("takes status %i for %o", async (status, expected) => {
    const { ask } = await http((_request, response) => response.writeHead(status).end());
    expect(await ask("/")).toEqual(expected);
  });

  test("follows a redirect on the same host, also to another port, and judges where it leads", async () => {
    const { port } = await http((request, response) => response.writeHead(request.url === "/bad" ? 500 : 200).end());
    const { ask } = await http((request, response) => {
      response.writeHead(302, { Location: `http://${host}:${port}${request.url}` }).end();
    });
    expect(await ask("/good")).toMatchObject({ result: "success" });
    expect(await ask("/bad")).toMatchObject({ result: "failure", output: "HTTP probe failed with statuscode: 500" });
  });

  test("does not follow one to another host, and warns", async () => {
    const { ask } = await http((_request, response) => {
      response.writeHead(301, { Location: "http://other.example/" }).end("moved");
    });
    expect(await ask("/")).toEqual({ result: "warning", output: "Probe terminated redirects, Response body: moved" });
  });

  test("fails on redirects without end", async () => {
    const { port, ask } = await http((_request, response) => response.writeHead(302, { Location: "/" }).end());
    const output = `Get "http://${host}:${port}/": stopped after 10 redirects`;
    expect(await ask("/")).toEqual({ result: "failure", output });
  });

  test("takes any certificate, also one of another name that has expired", async () => {
    const hour = 3_600_000;
    const [notBefore, notAfter] = [Date.now() - 2 * hour, Date.now() - hour];
    const { cert, key } = createAuthority(notBefore, notAfter).issue({
      commonName: "x",
      use: "server",
      notBefore,
      notAfter,
    });
    const port = await listen(createHttps({ cert, key }, (_request, response) => response.end()));
    const request = httpRequest({ port, scheme: "HTTPS" }, { name: "main" }, host, "a");
    expect(await probeHttp(request, signal)).toMatchObject({ result: "success" });
  });

  test("fails where nobody listens, in the kubelet's words", async () => {
    const port = await closedPort();
    const request = httpRequest({ port, path: "/x" }, { name: "main" }, host, "a");
    expect(await probeHttp(request, signal)).toEqual({
      result: "failure",
      output: `Get "http://${host}:${port}/x": dial tcp ${host}:${port}: connect: connection refused`,
    });
  });

  test("fails where no answer comes before its timeout", async () => {
    const abort = new AbortController();
    const { ask } = await http(() => abort.abort());
    expect(await ask("/", {}, abort.signal)).toMatchObject({
      result: "failure",
      output: expect.stringContaining("context deadline exceeded"),
    });
  });

  test("fails where the server hangs up", async () => {
    const { ask } = await http((request) => request.socket.end());
    expect(await ask("/")).toMatchObject({ result: "failure", output: expect.stringMatching(/EOF$/) });
  });
});

describe("a TCP probe", () => {
  test("succeeds where somebody listens", async () => {
    const port = await listen(createTcp((socket) => socket.on("error", () => {})));
    expect(await probeTcp(host, port, signal)).toMatchObject({ result: "success" });
  });

  test("fails where nobody does", async () => {
    const port = await closedPort();
    const output = `dial tcp ${host}:${port}: connect: connection refused`;
    expect(await probeTcp(host, port, signal)).toEqual({ result: "failure", output });
  });
});

/** A health service that answers with `reply`; `service` is the body that it was asked with. */
async function grpc(reply: (stream: ServerHttp2Stream, service: string) => void): Promise<number> {
  const server = createHttp2();
  server.on("stream", (stream, headers) => {
    expect(headers).toMatchObject({ ":path": "/grpc.health.v1.Health/Check", "content-type": "application/grpc" });
    stream.on("error", () => {});
    let body = "";
    stream.on("data", (chunk) => {
      body += chunk;
    });
    stream.on("end", () => reply(stream, body));
  });
  return listen(server);
}

function answerWith(status: number) {
  return (stream: ServerHttp2Stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from(status === 0 ? [0, 0, 0, 0, 0] : [0, 0, 0, 0, 2, 8, status]));
  };
}

describe("a gRPC probe", () => {
  const ask = (port: number, service = "", abort = signal) => probeGrpc({ host, port, service, agent: "a" }, abort);

  test.each([
    [0, { result: "failure", output: 'service unhealthy (responded with "UNKNOWN")' }],
    [1, { result: "success", output: "" }],
    [2, { result: "failure", output: 'service unhealthy (responded with "NOT_SERVING")' }],
  ])("takes health %i for %o", async (status, expected) => {
    expect(await ask(await grpc(answerWith(status)))).toEqual(expected);
  });

  test("asks for the service that it names", async () => {
    let asked = "";
    const port = await grpc((stream, service) => {
      asked = service;
      answerWith(1)(stream);
    });
    await ask(port, "my.Service");
    expect(asked.slice(5)).toBe("\n\nmy.Service");
  });

  test.each([
    [12, "", /^error: this server does not implement the grpc health protocol/],
    [5, "unknown%20service", /^error: health rpc probe failed: rpc error: code = 5 desc = unknown service$/],
  ])("fails on the error %i", async (code, message, expected) => {
    const port = await grpc((stream) =>
      stream.respond({ ":status": 200, "grpc-status": String(code), "grpc-message": message }, { endStream: true }),
    );
    expect(await ask(port)).toEqual({ result: "failure", output: expect.stringMatching(expected) });
  });

  test("fails where nobody listens", async () => {
    const port = await closedPort();
    expect((await ask(port)).output).toBe(
      `error: failed to connect service at "${host}:${port}": dial tcp ${host}:${port}: connect: connection refused`,
    );
  });

  test("fails where no answer comes before its timeout", async () => {
    const abort = new AbortController();
    const port = await grpc(() => abort.abort());
    expect((await ask(port, "", abort.signal)).output).toMatch(/^timeout: health rpc did not complete/);
  });

  test("fails on a server that speaks something else", async () => {
    const port = await listen(createHttp((_request, response) => response.end()));
    expect(await ask(port)).toMatchObject({ result: "failure" });
  });
});

test("the length of any service name stands before it", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 20_000 }), (service) => {
      const bytes = encodeRequest(service);
      expect(bytes.readUInt32BE(1)).toBe(bytes.length - 5);
      let at = 6;
      let length = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = bytes[at++]!;
        length += (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
      expect(bytes.subarray(at).toString()).toBe(Buffer.from(service).toString());
      expect(length).toBe(bytes.length - at);
    }),
  );
});

test("the health status is found among fields that are not known, and junk never hangs", () => {
  expect(healthStatus(Buffer.from([0, 0, 0, 0, 9, 0x12, 2, 8, 9, 0x18, 0x80, 1, 8, 2]))).toBe(2);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(healthStatus(Buffer.from(bytes))).toBeGreaterThanOrEqual(0);
    }),
  );
});
