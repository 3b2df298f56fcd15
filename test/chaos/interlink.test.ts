import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { type DevCluster, startDevCluster } from "../../src/devcluster/index.ts";
import { createClient, type KubeClient } from "../../src/kube/client.ts";
import { parseKubeconfig } from "../../src/kube/kubeconfig.ts";
import { paths } from "../../src/kube/paths.ts";
import type { Pod } from "../../src/kube/types.ts";
import { silentLogger } from "../../src/telemetry/log.ts";

/** `HOSTLET_SEED` asks for another run; `HOSTLET_KILLS` and `HOSTLET_PODS` make it longer. */
const seed = Number(process.env.HOSTLET_SEED ?? 23);
const blows = Number(process.env.HOSTLET_KILLS ?? 14);
const podCount = Number(process.env.HOSTLET_PODS ?? 24);
const order = ["Pending", "Running", "Succeeded", "Failed"];

function random(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Fault = "none" | "cut" | "slow" | "500" | "504" | "half" | "after";

/** A hop that can be made to fail: cut, slow, errors of its own, half an answer, or an answer that is lost after the deed. */
class Hop {
  fault: Fault = "none";
  readonly socket: string;
  readonly target: string;
  readonly #server: Server;

  constructor(socket: string, target: string) {
    this.socket = socket;
    this.target = target;
    this.#server = createServer((request, response) => void this.#pass(request, response));
  }

  async start(): Promise<void> {
    this.#server.listen(this.socket);
    await once(this.#server, "listening");
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return;
    }
    const { fault } = this;
    if (fault === "cut") return void response.destroy();
    if (fault === "500" || fault === "504") return void response.writeHead(Number(fault)).end(`fault ${fault}`);
    if (fault === "slow") await delay(2000);
    const { method, url, headers } = request;
    const far = httpRequest({
      socketPath: this.target,
      method,
      path: url,
      headers: { ...headers, connection: "close" },
      agent: false,
    });
    far.on("error", () => response.destroy());
    response.on("close", () => far.destroy());
    far.on("response", async (answer) => {
      const body: Buffer[] = [];
      try {
        for await (const chunk of answer) body.push(chunk);
      } catch {
        return void response.destroy();
      }
      const all = Buffer.concat(body);
      if (fault === "after") return void response.destroy();
      response.writeHead(answer.statusCode!, answer.headers);
      if (fault === "half") response.write(all.subarray(0, all.length >> 1), () => response.destroy());
      else response.end(all);
    });
    far.end(Buffer.concat(chunks));
  }
}

let dir: string;
let cluster: DevCluster;
let client: KubeClient;
let hops: Hop[];
const abort = new AbortController();

/** One of the three programs, started again whenever it was killed. */
class Part {
  #child: ChildProcess | undefined;
  log = "";
  readonly name: string;
  readonly args: string[];
  readonly env: Record<string, string>;

  constructor(name: string, args: string[], env: Record<string, string> = {}) {
    this.name = name;
    this.args = args;
    this.env = env;
  }

  start(): void {
    const child = spawn(process.execPath, [resolve("bin/hostlet.js"), ...this.args], {
      env: { ...process.env, HOME: dir, ...this.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const note = (chunk: Buffer) => {
      this.log = (this.log + chunk).slice(-4000);
    };
    child.stdout!.on("data", note);
    child.stderr!.on("data", note);
    this.#child = child;
  }

  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }
}

let parts: Part[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-il-"));
  const at = (name: string) => join(dir, name);
  mkdirSync(at("s"), { mode: 0o700 });
  cluster = await startDevCluster({ clock: systemClock, log: silentLogger });
  const access = parseKubeconfig(cluster.kubeconfig("admin"), { file: "of the test" });
  client = createClient(access, { log: silentLogger, clock: systemClock, userAgent: "hostlet-chaos" });
  writeFileSync(at("kubeconfig"), cluster.kubeconfig({ node: "chaos-1" }), { mode: 0o600 });
  const hop = (name: string, target: string) => new Hop(at(`s/${name}`), at(`s/${target}`));
  hops = [hop("hop1", "api"), hop("hop2", "plugin")];
  for (const one of hops) await one.start();
  const quiet = ["--log-level", "error"];
  const node = [
    "node",
    "--kubeconfig",
    at("kubeconfig"),
    "--node-name",
    "chaos-1",
    "--self-signed",
    "--node-ip",
    "127.0.0.1",
    "--kubelet-port",
    "0",
  ];
  const api = { INTERLINKURL: `unix:${at("s/api")}`, SIDECARURL: `unix:${at("s/hop2")}` };
  const far = [
    "--interlink-url",
    `unix:${at("s/hop1")}`,
    "--interlink-status-interval",
    "1s",
    "--interlink-ping-interval",
    "2s",
  ];
  parts = [
    new Part("node", [
      ...node,
      "--max-pods",
      "200",
      "--state-dir",
      at("node"),
      "--provider",
      "interlink",
      ...far,
      ...quiet,
    ]),
    new Part("interlink", ["interlink", ...quiet], api),
    new Part("plugin", [
      "plugin",
      "--listen",
      `unix:${at("s/plugin")}`,
      "--state-dir",
      at("far"),
      "--pods-dir",
      at("pods"),
      ...quiet,
    ]),
  ];
  for (const part of parts) part.start();
});

afterEach(async () => {
  abort.abort();
  for (const part of parts) await part.end("SIGTERM");
  for (const hop of hops) hop.stop();
  client.close();
  await cluster.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function until(holds: () => Promise<boolean> | boolean, otherwise: () => string): Promise<void> {
  // Longer than a node waits for an answer.
  const deadline = Date.now() + 180_000;
  while (!(await holds())) {
    if (Date.now() > deadline)
      throw new Error(`${otherwise()}\n${parts.map(({ name, log }) => `${name}: ${log}`).join("\n")}`);
    await delay(100);
  }
}

/** What each pod said of itself on its way, as a watcher sees it. */
async function watch(seen: Map<string, string[]>): Promise<void> {
  const query = { resourceVersion: "0" };
  while (!abort.signal.aborted) {
    try {
      for await (const event of client.watch<Pod>(paths.pods("default"), { query, signal: abort.signal })) {
        if (event.type !== "ADDED" && event.type !== "MODIFIED") continue;
        const { metadata, status } = event.object;
        const state = status?.containerStatuses?.[0]?.state?.terminated;
        const words = `${status?.phase}${state ? ` ${state.exitCode}` : ""}`;
        const story = seen.get(metadata!.name!) ?? [];
        if (story.at(-1) !== words) story.push(words);
        seen.set(metadata!.name!, story);
      }
    } catch {
      // the test is over
    }
  }
}

test(`three programs killed and two hops broken ${blows} times: no pod is lost, none runs twice, no status lies (seed ${seed})`, async () => {
  const next = random(seed);
  const journal = join(dir, "journal");
  const seen = new Map<string, string[]>();
  const watching = watch(seen);
  const names = Array.from({ length: podCount }, (_, i) => `pod-${i}`);
  const codeOf = (name: string) => Number(name.slice(4)) % 3;
  const create = async (name: string) => {
    const seconds = (0.2 + next() * 4).toFixed(1);
    // The start is told by mkdir: a second one can't be.
    const script = `mkdir ${dir}/started-${name} || echo ${name} >> ${journal}; sleep ${seconds}; exit ${codeOf(name)}`;
    const container = { name: "main", image: "none", command: ["sh", "-c", script] };
    const spec = {
      nodeName: "chaos-1",
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 2,
      containers: [container],
    };
    await client.create<Pod>(paths.pods("default"), { metadata: { name }, spec });
  };

  const queue = [...names];
  const perBlow = Math.ceil(podCount / blows);
  for (let blow = 0; blow < blows; blow++) {
    for (const name of queue.splice(0, perBlow)) await create(name);
    await delay(200 + next() * 800);
    const choice = Math.floor(next() * 5);
    if (choice < 3) {
      const part = parts[choice]!;
      await part.end("SIGKILL");
      await delay(next() * 500);
      part.start();
    } else {
      const faults: Fault[] = ["cut", "slow", "500", "504", "half", "after"];
      const hop = hops[choice - 3]!;
      hop.fault = faults[Math.floor(next() * faults.length)]!;
      await delay(500 + next() * 1500);
      hop.fault = "none";
    }
  }
  for (const name of queue) await create(name);

  const pods = async () => (await client.list<Pod>(paths.pods("default"))).items;
  const isOver = ({ status }: Pod) => status?.phase === "Succeeded" || status?.phase === "Failed";
  await until(
    async () => (await pods()).every(isOver),
    () => `pods are not over: ${JSON.stringify([...seen])}`,
  );
  for (const pod of await pods()) {
    const { exitCode } = pod.status!.containerStatuses![0]!.state!.terminated!;
    expect([pod.metadata!.name, exitCode]).toEqual([pod.metadata!.name, codeOf(pod.metadata!.name!)]);
    expect(pod.status!.phase).toBe(exitCode === 0 ? "Succeeded" : "Failed");
  }
  expect(existsSync(journal) ? readFileSync(journal, "utf8") : "").toBe("");
  for (const [name, story] of seen) {
    const steps = story.map((words) => order.indexOf(words.split(" ")[0]!));
    expect([name, steps]).toEqual([name, [...steps].sort()]);
    // No end was ever told but the one that was.
    const codes = story.flatMap((words) => words.split(" ").slice(1));
    expect([name, [...new Set(codes)]]).toEqual([name, [String(codeOf(name))]]);
  }

  hops[0]!.fault = "504";
  for (const name of names) await client.delete(paths.pods("default", name));
  await delay(500);
  hops[0]!.fault = "none";
  await until(
    async () => (await pods()).length === 0,
    () => "pods are never gone",
  );
  const left = () => ["node/interlink", "far/pods", "far/objects"].flatMap((name) => readdirSync(join(dir, name)));
  await until(
    () => left().length === 0,
    () => `left behind: ${left()}`,
  );
  abort.abort();
  await watching;
});
