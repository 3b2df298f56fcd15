import { once } from "node:events";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import { createAuthority } from "../pki/authority.ts";
import { silentLogger } from "../telemetry/log.ts";
import { isRetryable } from "./apiError.ts";
import { createClient, type KubeClient } from "./client.ts";
import type { Credential, Credentials } from "./credentials.ts";
import { sendJson, sendStatus, startTestServer, type TestHandler, testCertificates } from "./testing/apiServer.ts";

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A source that goes on to the next of `all` when the one in use is refused; the last one stays. */
function inTurn(...all: Credential[]): Credentials & { refusals: number } {
  const source = {
    refusals: 0,
    current: () => all[Math.min(source.refusals, all.length - 1)] ?? {},
    refused(credential: Credential) {
      if (credential === source.current()) source.refusals++;
    },
    close() {},
  };
  return source;
}

function clientOf(server: string, ca: string, credentials: Credentials): KubeClient {
  const client = createClient({ server, ca }, { log: silentLogger, clock: systemClock, userAgent: "t", credentials });
  cleanups.push(() => client.close());
  return client;
}

async function setUp(credentials: Credentials, accept: string, kind: "h2" | "https" = "h2") {
  const asked: (string | undefined)[] = [];
  const handler: TestHandler = (request, response, url) => {
    asked.push(request.headers.authorization);
    if (request.headers.authorization !== accept) return sendStatus(response, 401, "Unauthorized");
    if (!url.searchParams.has("watch")) return sendJson(response, 200, {});
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`${JSON.stringify({ type: "ADDED", object: {} })}\n`);
  };
  const server = await startTestServer(kind, handler);
  cleanups.push(() => server.close());
  return { asked, client: clientOf(server.url, testCertificates().cert, credentials) };
}
const bearer = (token: string): Credential => ({ authorization: `Bearer ${token}` });
const never = new AbortController().signal;

test.each(["h2", "https"] as const)(
  "over %s, what was refused is sent once more with a newer credential",
  async (kind) => {
    const { asked, client } = await setUp(inTurn(bearer("old"), bearer("new")), "Bearer new", kind);
    await client.create("/api", { a: 1 });
    expect(asked).toEqual(["Bearer old", "Bearer new"]);
  },
);

test.each(["h2", "https"] as const)("over %s, a watch that was refused is asked for once more", async (kind) => {
  const { asked, client } = await setUp(inTurn(bearer("old"), bearer("new")), "Bearer new", kind);
  for await (const { type } of client.watch("/w", { signal: never })) expect(type).toBe("ADDED");
  expect(asked).toEqual(["Bearer old", "Bearer new"]);
});

test("a second refusal is the answer, and so is the first where nothing newer is to be had", async () => {
  const source = inTurn(bearer("a"), bearer("b"), bearer("c"));
  const { asked, client } = await setUp(source, "Bearer c");
  await expect(client.get("/api")).rejects.toMatchObject({ code: 401 });
  expect(asked).toEqual(["Bearer a", "Bearer b"]);
  const other = await setUp(inTurn(bearer("a")), "Bearer c");
  await expect(other.client.get("/api")).rejects.toMatchObject({ code: 401 });
  await expect(other.client.stream("/api", { signal: never })).rejects.toMatchObject({ code: 401 });
  expect(other.asked).toEqual(["Bearer a", "Bearer a"]);
});

test("a source that fails for now can be waited for, one that is set up wrong can't, and both end with their signal", async () => {
  const failing = (current: () => Promise<Credential>) =>
    setUp({ current, refused: () => {}, close: () => {} }, "x").then(({ client }) => client);
  const forNow = await failing(() => Promise.reject(new Error("no network")));
  const error = await forNow.get("/api").catch((cause: unknown) => cause);
  expect(error).toMatchObject({ name: "NetworkError", code: "CREDENTIALS" });
  expect(isRetryable(error)).toBe(true);
  const wrong = await failing(() => Promise.reject(new HostletError("ConfigInvalid", "not installed")));
  await expect(wrong.get("/api")).rejects.toMatchObject({ code: "ConfigInvalid", message: "not installed" });
  const silent = await failing(() => new Promise(() => {}));
  await expect(silent.get("/api", { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
});

test("new connections show the new client certificate, and old connections take no new request", async () => {
  const times = { notBefore: Date.now() - 1e6, notAfter: Date.now() + 1e7 };
  const authority = createAuthority(times.notBefore, times.notAfter);
  const names = ["127.0.0.1"];
  const own = authority.issue({ commonName: "server", use: "server", names, ...times });
  const server = createSecureServer({ ...own, ca: authority.caPem, requestCert: true, allowHTTP1: true });
  const users: string[] = [];
  server.on("request", (request, response) => {
    const socket = (request.httpVersionMajor === 2 ? request.stream.session?.socket : request.socket) as TLSSocket;
    users.push(String(socket.getPeerCertificate().subject.CN));
    response.writeHead(200, { "content-type": "application/json" });
    if (request.url?.includes("watch") === true) response.write(`${JSON.stringify({ type: "ADDED", object: {} })}\n`);
    else response.end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const certificate = (commonName: string) => authority.issue({ commonName, use: "client", ...times });
  const source = inTurn({ certificate: certificate("old") }, { certificate: certificate("new") });
  const { port } = server.address() as AddressInfo;
  const client = clientOf(`https://127.0.0.1:${port}`, authority.caPem, source);

  const use = async () => {
    await client.get("/api");
    await client.get("/api");
    const watch = client.watch("/w", { signal: never })[Symbol.asyncIterator]();
    await watch.next();
    return watch;
  };
  await use();
  source.refusals++;
  await use();
  expect(users).toEqual(["old", "old", "old", "new", "new", "new"]);
});
