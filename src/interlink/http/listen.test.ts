import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkListener, type ListenOptions, listen, parseAddress } from "./listen.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-listen-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test.each([
  ["unix:/run/x.sock", { socket: "/run/x.sock" }],
  ["unix:///run/x.sock", { socket: "/run/x.sock" }],
  ["127.0.0.1:4000", { host: "127.0.0.1", port: 4000 }],
  ["https://[::1]:4000/", { host: "::1", port: 4000 }],
  [":0", { host: "0.0.0.0", port: 0 }],
])("%s is an address", (text, address) => {
  expect(parseAddress(text, "--listen")).toEqual(address);
});

test.each(["", "unix:", "4000", "host", "host:99999", "a:b:1"])("%j is none", (text) => {
  expect(() => parseAddress(text, "--listen")).toThrow("--listen: must be unix:/PATH or HOST:PORT");
});

const tls = { certFile: "c", keyFile: "k" };
const options = (changes: Partial<ListenOptions>): ListenOptions => ({
  address: { host: "0.0.0.0", port: 1 },
  authenticated: false,
  insecure: false,
  what: "x",
  ...changes,
});
const loopback = { host: "127.0.0.1", port: 1 };

test.each<[string, Partial<ListenOptions>, boolean]>([
  ["a unix socket needs nothing else", { address: { socket: "/s" } }, true],
  ["TCP alone is refused", {}, false],
  ["loopback alone, too: every user of this host is there", { address: loopback }, false],
  ["a server's certificate alone says nothing of clients", { tls }, false],
  ["mTLS is enough", { tls: { ...tls, caFile: "ca" } }, true],
  ["TLS with a token is enough", { tls, authenticated: true }, true],
  ["a token in the clear is not", { authenticated: true }, false],
  ["on loopback it is", { address: loopback, authenticated: true }, true],
  ["somebody may decide otherwise", { insecure: true }, true],
])("%s", (_, changes, good) => {
  const check = () => checkListener(options(changes));
  if (good) check();
  else expect(check).toThrow("could run programs here");
});

test("a socket is for its user alone, in a directory of its own, and takes the place of a dead server's", async () => {
  const socket = join(dir, "new", "s.sock");
  const { server } = await listen(options({ address: { socket } }));
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  expect(statSync(join(dir, "new")).mode & 0o777).toBe(0o700);
  await expect(listen(options({ address: { socket } }))).rejects.toMatchObject({ code: "ListenFailed" });
  await new Promise((resolve) => server.close(resolve));
  // What a server that was killed leaves: a socket that nobody listens on.
  const dead = createServer().listen(socket);
  await new Promise((resolve) => dead.once("listening", resolve));
  const again = listen(options({ address: { socket } }));
  await expect(again).rejects.toThrow("it is in use");
  await new Promise((resolve) => dead.close(resolve));
  const last = await listen(options({ address: { socket } }));
  await new Promise((resolve) => last.server.close(resolve));
});

test("a file in the socket's place stays, and a directory that others write to is refused", async () => {
  writeFileSync(join(dir, "file"), "mine");
  await expect(listen(options({ address: { socket: join(dir, "file") } }))).rejects.toThrow("exists and is no socket");
  mkdirSync(join(dir, "open"));
  const { chmodSync } = await import("node:fs");
  chmodSync(join(dir, "open"), 0o777);
  await expect(listen(options({ address: { socket: join(dir, "open", "s") } }))).rejects.toThrow("others may write to");
});
