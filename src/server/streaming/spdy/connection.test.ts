import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../../testing/manualClock.ts";
import { type ClientStream, SpdyClient } from "../../testing/spdyClient.ts";
import { defaultIdleMs, pingMs, SpdyConnection } from "./connection.ts";
import { dictionary } from "./dictionary.ts";
import { controlFrame, controlType, dataHead, numbers, resetStatus } from "./frames.ts";
import type { SpdyStream } from "./stream.ts";

let dir: string;
let server: Server;
let clock: ManualClock;
const sockets: Socket[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-spdy-"));
  clock = new ManualClock();
  server = createServer({ allowHalfOpen: true }).listen(join(dir, "sock"));
  await once(server, "listening");
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true });
});

/** A client and the server's side; `opened` is called with each stream. */
async function pair(opened: (stream: SpdyStream) => void = echo, maxStreams = 10) {
  const socket = connect(join(dir, "sock"));
  const [accepted] = (await once(server, "connection")) as [Socket];
  sockets.push(socket, accepted);
  const connection = new SpdyConnection(accepted, Buffer.alloc(0), { clock, maxStreams, opened });
  return { client: new SpdyClient(socket), connection, accepted };
}

function echo(stream: SpdyStream): void {
  stream.pipe(stream);
}

const nothing = Buffer.alloc(0);

describe("a connection", () => {
  it("carries many streams at once, to the byte, and forgets those that are over", async () => {
    const { client, connection } = await pair();
    const sent = Array.from({ length: 10 }, () => randomBytes(300_000));
    const streams: ClientStream[] = [];
    for (const [i] of sent.entries()) streams.push(await client.open({ streamtype: "data", number: String(i) }));
    for (let at = 0; at < 300_000; at += 50_000) {
      for (const [i, stream] of streams.entries()) client.send(stream, sent[i]!.subarray(at, at + 50_000));
    }
    await client.until(() => streams.every((stream) => stream.data.length === 300_000), "all of it");
    // Room is made as the data is read; after the end nobody needs any.
    for (const { credit } of streams) expect(credit).toBeGreaterThan(150_000);
    for (const stream of streams) client.send(stream, nothing, true);
    await client.until(() => streams.every((stream) => stream.fin), "the end of all");
    const digest = (data: Buffer) => createHash("sha256").update(data).digest("hex");
    expect(streams.map((stream) => digest(stream.data))).toEqual(sent.map(digest));
    expect(streams.map(({ replied, reset }) => [replied, reset])).toEqual(streams.map(() => [true, undefined]));
    const last = await client.open({});
    client.send(last, "once more", true);
    await client.until(() => last.fin, "another one");
    expect(connection.streams).toBe(0);
  });

  it("ends each direction for itself", async () => {
    const { client } = await pair((stream) => {
      stream.resume();
      stream.end("all I have to say");
    });
    const stream = await client.open({});
    await client.until(() => stream.fin, "its end");
    expect([stream.text, stream.reset]).toEqual(["all I have to say", undefined]);
    client.send(stream, "so be it", true);
    const next = await client.open({});
    await client.until(() => next.fin, "another one");
    expect(stream.reset).toBeUndefined();
  });

  it("answers pings, and asks from time to time", async () => {
    const { client } = await pair();
    client.write(controlFrame(controlType.ping, numbers(7)));
    await client.until(() => client.controls.length === 1, "the answer");
    clock.advance(pingMs);
    await client.until(() => client.controls.length === 2, "a ping");
    expect(client.controls.map(({ type, payload }) => [type, payload.readUInt32BE(0)])).toEqual([
      [controlType.ping, 7],
      [controlType.ping, 2],
    ]);
  });

  it("ends when nothing has been said for the idle time, pings aside", async () => {
    const { client, connection } = await pair();
    const stream = await client.open({});
    await client.until(() => stream.replied, "the reply");
    clock.advance(defaultIdleMs);
    expect(connection.streams).toBe(1); // it was active in that time
    clock.advance(defaultIdleMs);
    await Promise.all([client.closed, connection.closed]);
    expect(clock.pending).toBe(0);
  });

  it("breaks all streams off when the client is gone, and leaves no timer", async () => {
    const gone: string[] = [];
    const { client, connection } = await pair((stream) => stream.on("close", () => gone.push("closed")));
    await client.open({});
    const second = await client.open({});
    await client.until(() => second.replied, "the replies");
    client.destroy();
    await connection.closed;
    await new Promise(setImmediate);
    expect(gone).toEqual(["closed", "closed"]);
    expect(clock.pending).toBe(0);
  });
});

describe("a client that does wrong", () => {
  it("and opens a stream twice loses that, not the other one", async () => {
    const { client } = await pair();
    const first = await client.open({});
    const twice = await client.open({}, first.id);
    await client.until(() => twice.reset !== undefined, "the refusal");
    expect(twice.reset).toBe(resetStatus.protocolError);
    client.send(first, "still here", true);
    await client.until(() => first.fin, "the echo");
    expect(first.text).toBe("still here");
  });

  it("and opens more streams than it may has those refused, not the others broken", async () => {
    const { client } = await pair(echo, 2);
    const streams = [await client.open({}), await client.open({}), await client.open({})];
    await client.until(() => streams[2]!.reset !== undefined, "the refusal");
    expect(streams.map(({ reset }) => reset)).toEqual([undefined, undefined, resetStatus.refusedStream]);
    client.send(streams[0]!, "on we go", true);
    await client.until(() => streams[0]!.fin, "the echo");
  });

  it("and lets a window overflow loses that stream, not the other one", async () => {
    const { client } = await pair();
    const [bad, good] = [await client.open({}), await client.open({})];
    const widen = (id: number) => client.write(controlFrame(controlType.windowUpdate, numbers(id, 0x7fffffff)));
    widen(bad.id);
    widen(12345); // of no stream: nobody's
    await client.until(() => bad.reset !== undefined, "the refusal");
    expect(bad.reset).toBe(resetStatus.flowControlError);
    client.send(good, "fine", true);
    await client.until(() => good.fin, "the echo");
  });

  it("and sends to streams that are none is not heard, and not answered", async () => {
    const { client } = await pair();
    client.write(Buffer.concat([dataHead(99, 4), Buffer.from("data")]));
    client.write(controlFrame(controlType.rstStream, numbers(99, 5)));
    const stream = await client.open({});
    client.send(stream, "x", true);
    await client.until(() => stream.fin, "the echo");
    expect(client.controls.some(({ type }) => type === controlType.rstStream)).toBe(false);
  });

  it.each([
    ["an even number", (client: SpdyClient) => void client.open({}, 2)],
    [
      "a number of before",
      async (client: SpdyClient) => {
        await client.open({}, 7);
        await client.open({}, 5);
      },
    ],
    [
      "a header bomb",
      (client: SpdyClient) => {
        const bomb = deflateSync(Buffer.alloc(30_000_000), { dictionary });
        client.write(controlFrame(controlType.synStream, Buffer.concat([numbers(1, 0), Buffer.alloc(2), bomb])));
      },
    ],
    [
      "headers that are none",
      (client: SpdyClient) => {
        client.write(
          controlFrame(controlType.synStream, Buffer.concat([numbers(1, 0), Buffer.alloc(2), randomBytes(40)])),
        );
      },
    ],
    [
      "a frame that is too short",
      (client: SpdyClient) => client.write(controlFrame(controlType.synStream, numbers(1))),
    ],
    [
      "a frame that is too long",
      (client: SpdyClient) => client.write(Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff])),
    ],
    ["another version", (client: SpdyClient) => client.write(Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 0]))],
  ])("with %s is told so, and cut off", async (_what, act) => {
    const { client, connection } = await pair();
    await act(client);
    await Promise.all([connection.closed, client.closed]);
    expect(client.controls.at(-1)?.type).toBe(controlType.goAway);
    expect(client.controls.at(-1)?.payload.readUInt32BE(4)).toBe(resetStatus.protocolError);
  });

  it("in whatever way never breaks the server, nor another client", async () => {
    const good = await pair();
    const stream = await good.client.open({});
    const known = fc.record({ type: fc.integer({ min: 1, max: 10 }), bytes: fc.uint8Array({ maxLength: 60 }) });
    const frames = fc.array(fc.oneof(known, fc.uint8Array({ maxLength: 60 })), { minLength: 1, maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(frames, async (list) => {
        const { client, connection } = await pair();
        for (const one of list) {
          client.write("type" in one ? controlFrame(one.type, Buffer.from(one.bytes)) : one);
        }
        client.destroy();
        await connection.closed;
        expect(connection.streams).toBe(0);
      }),
      { numRuns: 60 },
    );
    good.client.send(stream, "untouched", true);
    await good.client.until(() => stream.fin, "the echo");
    expect(stream.text).toBe("untouched");
  });

  it("and pours into a stream that nobody reads is not read any more itself", async () => {
    let unread: SpdyStream | undefined;
    const { client, connection, accepted } = await pair((stream) => {
      unread = stream;
    });
    const stream = await client.open({});
    const chunk = Buffer.alloc(64 * 1024);
    for (let i = 0; i < 160; i++) client.send(stream, chunk);
    await client.until(() => stream.replied, "the reply");
    const before = accepted.bytesRead;
    while (unread!.readableLength < 256 * 1024) await new Promise(setImmediate);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(unread!.readableLength).toBeLessThan(512 * 1024);
    expect(accepted.bytesRead - before).toBeLessThan(4 * 1024 * 1024);
    unread!.resume();
    client.send(stream, "", true);
    await once(unread!, "end");
    expect(accepted.bytesRead).toBeGreaterThan(10 * 1024 * 1024);
    connection.destroy();
  });

  it("and asks without reading the answers is not read any more itself", async () => {
    const { client, accepted } = await pair();
    client.pause();
    const pings = Buffer.concat(Array.from({ length: 5000 }, () => controlFrame(controlType.ping, numbers(1))));
    for (let i = 0; i < 100; i++) client.write(pings);
    while (accepted.writableLength < 1024 * 1024) await new Promise(setImmediate);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(accepted.writableLength).toBeLessThan(1.2 * 1024 * 1024);
  });
});
