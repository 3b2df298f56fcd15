import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A registry on loopback, for the user `ann` with password `secret` alone. */
export interface TestRegistry {
  /** `127.0.0.1:PORT` */
  host: string;
  stop(): Promise<void>;
}

export const registryInstalled = existsSync("/usr/bin/docker-registry");

/** bcrypt of `secret`. */
const hash = "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

export async function startRegistry(): Promise<TestRegistry> {
  const dir = mkdtempSync(join(tmpdir(), "hostlet-registry-"));
  const port = await freePort();
  mkdirSync(join(dir, "data"));
  writeFileSync(join(dir, "htpasswd"), `ann:${hash}\n`);
  writeFileSync(
    join(dir, "config.yml"),
    `version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: ${join(dir, "data")}}}
http: {addr: "127.0.0.1:${port}"}
auth: {htpasswd: {realm: test, path: ${join(dir, "htpasswd")}}}
`,
  );
  const log = openSync(join(dir, "log"), "a");
  const args = ["serve", join(dir, "config.yml")];
  const daemon: ChildProcess = spawn("docker-registry", args, { stdio: ["ignore", log, log], detached: true });
  const host = `127.0.0.1:${port}`;
  while (!(await fetch(`http://${host}/v2/`).catch(() => undefined))) {
    if (daemon.exitCode !== null) throw new Error("the registry ended");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    host,
    async stop() {
      const ended = once(daemon, "exit");
      daemon.kill("SIGTERM");
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
