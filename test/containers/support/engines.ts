import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineClient } from "../../../src/runtimes/docker/engineClient.ts";

/** A container engine of a test's own, with one image of busybox. */
export interface TestEngine {
  name: "docker" | "podman";
  socket: string;
  client: EngineClient;
  /** Id of an image with a shell and the usual programs. */
  imageID: string;
  imageName: string;
  /** SIGKILL, as a crash has it; `start` is its next life. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const installed = (program: string) => ["/usr/sbin", "/usr/bin"].some((dir) => existsSync(join(dir, program)));

/** Why an engine can't be started here; undefined where it can. */
export function engineMissing(name: TestEngine["name"]): string | undefined {
  if (process.getuid?.() !== 0) return `only root can start ${name} for a test`;
  const needed = name === "docker" ? ["dockerd", "runc"] : ["podman", "runc"];
  const missing = [...needed, "busybox"].filter((program) => !installed(program));
  return missing.length > 0 ? `not installed: ${missing.join(", ")}` : undefined;
}

/** @param registry host of one without TLS, which Docker takes on loopback anyway */
export async function startEngine(name: TestEngine["name"], registry?: string): Promise<TestEngine> {
  const dir = mkdtempSync(join(tmpdir(), `hostlet-${name}-`));
  const socket = join(dir, "engine.sock");
  const client = new EngineClient(socket);
  let daemon: ChildProcess | undefined;
  const log = openSync(join(dir, "log"), "a");
  const registries = join(dir, "registries.conf");
  writeFileSync(registries, registry ? `[[registry]]\nlocation = "${registry}"\ninsecure = true\n` : "");
  const engine: TestEngine = {
    ...{ name, socket, client, imageID: "", imageName: "docker.io/library/hostlet-test:1" },
    async start() {
      const { argv, env } = name === "docker" ? docker(dir, socket) : podman(dir, socket);
      const [program = "", ...args] = argv;
      daemon = spawn(program, args, { env, stdio: ["ignore", log, log], detached: true });
      await answers(client, daemon, join(dir, "log"));
    },
    async kill() {
      const ended = once(daemon!, "exit");
      daemon!.kill("SIGKILL");
      await ended;
      rmSync(socket, { force: true });
      rmSync(join(dir, "docker.pid"), { force: true });
    },
    async stop() {
      await removeAll(client);
      const ended = once(daemon!, "exit");
      daemon!.kill("SIGTERM");
      await ended;
      for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n").reverse()) {
        const at = line.split(" ")[1] ?? "";
        if (at.startsWith(`${dir}/`)) execFileSync("umount", ["-l", at]);
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
  await engine.start();
  engine.imageID = await importBusybox(client, dir);
  return engine;
}

function docker(dir: string, socket: string) {
  const argv = [
    ...["dockerd", "--data-root", join(dir, "data"), "--exec-root", join(dir, "exec"), "-p", join(dir, "docker.pid")],
    ...["-H", `unix://${socket}`, "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"],
    ...["--bridge=none"],
  ];
  return { argv, env: process.env };
}

function podman(dir: string, socket: string) {
  const conf = join(dir, "containers.conf");
  const limits = 'default_ulimits=["nofile=20000:20000","nproc=4096:4096"]';
  const engine = 'runtime="runc"\ncgroup_manager="cgroupfs"\nevents_logger="file"';
  writeFileSync(conf, `[containers]\n${limits}\n[engine]\n${engine}\n`);
  const places = ["--root", join(dir, "root"), "--runroot", join(dir, "run"), "--tmpdir", join(dir, "tmp")];
  const argv = ["podman", ...places, "system", "service", "--time=0", `unix://${socket}`];
  return {
    argv,
    env: { ...process.env, CONTAINERS_CONF: conf, CONTAINERS_REGISTRIES_CONF: join(dir, "registries.conf") },
  };
}

async function answers(client: EngineClient, daemon: ChildProcess, log: string): Promise<void> {
  for (;;) {
    if (daemon.exitCode !== null) throw new Error(`the engine ended: ${readFileSync(log, "utf8").slice(-2000)}`);
    const found = await client.negotiate().catch(() => undefined);
    if (found) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** No registry is asked: a root filesystem of busybox becomes an image. */
async function importBusybox(client: EngineClient, dir: string): Promise<string> {
  const root = join(dir, "rootfs");
  for (const sub of ["bin", "usr/bin", "tmp", "etc"]) mkdirSync(join(root, sub), { recursive: true });
  execFileSync("cp", [installed("busybox") ? "/usr/bin/busybox" : "/bin/busybox", join(root, "bin/busybox")]);
  const applets = execFileSync("busybox", ["--list"], { encoding: "utf8" }).trim().split("\n");
  for (const applet of applets) {
    if (applet !== "busybox") symlinkSync("busybox", join(root, "bin", applet));
    symlinkSync("/bin/busybox", join(root, "usr/bin", applet));
  }
  const bytes = execFileSync("tar", ["-C", root, "-c", "."], { maxBuffer: 64 * 1024 * 1024 });
  // Podman takes the tag from neither parameter of the import.
  const query = { fromSrc: "-", repo: "docker.io/library/hostlet-test", tag: "1" };
  const answer = await client.json<{ status: string }>({
    ...{ method: "POST", path: "/images/create", query },
    raw: { type: "application/x-tar", bytes },
  });
  await client.json({
    ...{ method: "POST", path: `/images/${answer.status}/tag` },
    query: { repo: "docker.io/library/hostlet-test", tag: "1" },
  });
  return answer.status;
}

async function removeAll(client: EngineClient): Promise<void> {
  const all = await client.json<{ Id: string }[]>({ method: "GET", path: "/containers/json", query: { all: true } });
  for (const { Id } of all) {
    await client.json({ method: "DELETE", path: `/containers/${Id}`, query: { force: true, v: true } });
  }
}
