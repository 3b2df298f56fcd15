import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { parseTunnel, SshTunnel } from "../../src/pilot/tunnel.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { freePort } from "./support/cluster.ts";
import { ask, Sshd } from "./support/sshd.ts";

let dir: string;
let sshd: Sshd;
let server: Server;
let localPort: number;
const tunnels: SshTunnel[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-sshd-"));
  sshd = new Sshd(dir, await freePort());
  await sshd.start();
  server = createServer((socket) => socket.end("the node"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  localPort = (server.address() as { port: number }).port;
});
afterEach(async () => {
  for (const tunnel of tunnels.splice(0)) await tunnel.stop();
  await sshd.stop();
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

function make(moved: (port: number) => void = () => {}): SshTunnel {
  const tunnel = new SshTunnel({
    target: parseTunnel(sshd.url),
    bind: "127.0.0.1",
    localPort,
    program: join(sshd.bin, "ssh"),
    clock: systemClock,
    log: silentLogger,
    moved,
  });
  tunnels.push(tunnel);
  return tunnel;
}

it("gives many nodes a port each at the far end, and passes connections on", async () => {
  const ports = await Promise.all([make(), make(), make()].map((tunnel) => tunnel.start()));
  expect(new Set(ports).size).toBe(3);
  for (const port of ports) expect(await ask(port)).toBe("the node");
});

it("comes back by itself when the far end was away, on the port that it had", async () => {
  const port = await make().start();
  await sshd.stop();
  expect(await ask(port)).toBeUndefined();
  await sshd.start();
  const deadline = Date.now() + 60_000;
  while ((await ask(port)) !== "the node" && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 200));
  expect(await ask(port)).toBe("the node");
});

it("says in ssh's words why it can't be had, and leaves no ssh", async () => {
  await sshd.stop();
  await expect(make().start()).rejects.toMatchObject({
    code: "ListenFailed",
    message: expect.stringMatching(/refused/),
  });
});

it("is gone when it is stopped", async () => {
  const tunnel = make();
  const port = await tunnel.start();
  await tunnel.stop();
  await tunnel.stop();
  const deadline = Date.now() + 30_000;
  while ((await ask(port)) !== undefined && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await ask(port)).toBeUndefined();
});
