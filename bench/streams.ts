import { once } from "node:events";
import { get } from "node:https";
import { WebSocket } from "ws";
import type { ClientConfig } from "../src/kube/clientConfig.ts";
import { loadKubeconfig } from "../src/kube/kubeconfig.ts";
import { paths } from "../src/kube/paths.ts";
import type { Node } from "../src/kube/types.ts";
import { deletePod, namespace, podOf } from "./load.ts";
import { childrenOf, cpu, memory } from "./proc.ts";
import { type Bench, limitMs, settle, withoutShims } from "./scenarios.ts";
import { type Figure, nowMs, percentile, round } from "./statistics.ts";

const megabyte = 1_000_000;

/** Where a client reaches a pod's streams: the kubelet API itself, or by way of the API server. */
interface Way {
  name: string;
  /** The URL of a verb, with the query in the words of that API. */
  url(pod: string, words: { command?: string[]; stdin?: boolean }): string;
  logs(pod: string): string;
  protocol: string;
}

/** exec and logs of one pod, by a client in this process, without kubectl. */
export async function streams(bench: Bench): Promise<Figure[]> {
  const { client, watcher, nodeName, quick } = bench;
  const access = loadKubeconfig(bench.kubeconfig);
  const agent = await bench.startAgent();
  const pod = "streams";
  await client.create(paths.pods(namespace), podOf({ name: pod, nodeName, command: ["sleep", "3600"] }));
  await watcher.until("running", [pod], limitMs);
  const ways = [await direct(bench), byServer(access)];
  const figures: Figure[] = [];
  for (const way of ways) {
    const scenario = `exec, ${way.name}`;
    const aim = way === ways[0] ? { aim: { is: "<", value: 25 } as const } : {};
    const times: number[] = [];
    const spent = spending(agent.pid);
    for (let i = 0; i < (quick ? 50 : 300); i++) {
      const begin = nowMs();
      await exec(access, way, pod, ["true"]);
      times.push(nowMs() - begin);
    }
    figures.push({
      scenario,
      name: "round trip of true, p50",
      value: round(percentile(times, 50)),
      unit: "ms",
      ...aim,
    });
    figures.push({ scenario, name: "round trip of true, p99", value: round(percentile(times, 99)), unit: "ms" });
    figures.push({ scenario, name: "agent's own CPU an exec", value: round(spent() / times.length), unit: "ms" });
    const outSpent = spending(agent.pid);
    const bytes = (quick ? 64 : 512) * 1024 * 1024;
    const out = await exec(access, way, pod, ["head", "-c", String(bytes), "/dev/zero"]);
    figures.push({ scenario, name: "output", value: round(out.bytes / megabyte / out.seconds), unit: "MB/s" });
    figures.push({
      scenario,
      name: "agent's own CPU an MB of it",
      value: round((outSpent() * megabyte) / bytes, 2),
      unit: "ms",
    });
    const into = await exec(access, way, pod, ["head", "-c", String(bytes)], bytes);
    figures.push({
      scenario,
      name: "input and the same back",
      value: round(bytes / megabyte / into.seconds),
      unit: "MB/s",
    });
  }
  figures.push(...(await memoryOfStreams(bench, access, ways[0]!, pod, agent.pid)));
  await deletePod(client, pod, 0);
  await watcher.until("gone", [pod], limitMs);
  for (const way of ways) figures.push(...(await logs(bench, access, way, agent.pid)));
  await withoutShims(agent);
  await agent.stop();
  return figures;
}

async function direct({ client, nodeName }: Bench): Promise<Way> {
  const node = await client.get<Node>(paths.nodes(nodeName));
  const base = `127.0.0.1:${node.status?.daemonEndpoints?.kubeletEndpoint?.Port}`;
  return {
    name: "direct",
    url(pod, { command = [], stdin = false }) {
      const query = new URLSearchParams({ output: "1", ...(stdin && { input: "1" }) });
      for (const word of command) query.append("command", word);
      return `wss://${base}/exec/${namespace}/${pod}/main?${query}`;
    },
    logs: (pod) => `https://${base}/containerLogs/${namespace}/${pod}/main?follow=true`,
    protocol: "v4.channel.k8s.io",
  };
}

function byServer({ server }: ClientConfig): Way {
  return {
    name: "through the API server",
    url(pod, { command = [], stdin = false }) {
      const query = new URLSearchParams({ stdout: "true", ...(stdin && { stdin: "true" }) });
      for (const word of command) query.append("command", word);
      return `${server.replace(/^http/, "ws")}${paths.pods(namespace, pod, "exec")}?${query}`;
    },
    logs: (pod) => `${server}${paths.pods(namespace, pod, "log")}?follow=true`,
    protocol: "v5.channel.k8s.io",
  };
}

function credentials({ ca, cert, key, token }: ClientConfig) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return { headers, ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

/** Runs a command to its end. @param input so many bytes, while output is read */
async function exec(access: ClientConfig, way: Way, pod: string, command: string[], input = 0) {
  const begin = nowMs();
  const socket = new WebSocket(way.url(pod, { command, stdin: input > 0 }), [way.protocol], credentials(access));
  let bytes = 0;
  let status = "";
  socket.on("message", (data: Buffer) => {
    if (data[0] === 1) bytes += data.length - 1;
    if (data[0] === 3) status += data.toString("utf8", 1);
  });
  const closed = once(socket, "close");
  await once(socket, "open");
  const message = Buffer.alloc(32 * 1024 + 1);
  for (let left = input; left > 0; left -= message.length - 1) {
    await new Promise((resolve) => socket.send(message.subarray(0, Math.min(left, message.length - 1) + 1), resolve));
  }
  await closed;
  if (!status.includes('"Success"')) throw new Error(`${command.join(" ")} ended with ${status || "no status"}`);
  return { bytes, seconds: (nowMs() - begin) / 1000 };
}

async function memoryOfStreams(
  bench: Bench,
  access: ClientConfig,
  way: Way,
  pod: string,
  pid: number,
): Promise<Figure[]> {
  const count = bench.quick ? 50 : 200;
  const before = memory(pid);
  const shims = shimMemory(pid);
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const url = way.url(pod, { command: ["sleep", "3600"], stdin: true });
      const socket = new WebSocket(url, [way.protocol], credentials(access));
      await once(socket, "message"); // it is there
      return socket;
    }),
  );
  await settle();
  const after = memory(pid);
  const added = shimMemory(pid) - shims;
  const closed = sockets.map((socket) => once(socket, "close"));
  for (const socket of sockets) socket.close();
  await Promise.all(closed);
  const scenario = `${count} open execs`;
  const kilobytes = (megabytes: number) => round((megabytes * 1000) / count);
  return [
    { scenario, name: "agent's PSS, each", value: kilobytes(after.pss - before.pss), unit: "kB" },
    { scenario, name: "PSS of shim and sleep, each", value: kilobytes(added), unit: "kB" },
  ];
}

/** CPU ms of a process from now on. */
function spending(pid: number): () => number {
  const before = cpu(pid).own;
  return () => cpu(pid).own - before;
}

/** All processes below the agent's shims: what `exec` starts is among them. */
function shimMemory(agent: number): number {
  let sum = 0;
  const rest = childrenOf(agent);
  for (let pid = rest.pop(); pid !== undefined; pid = rest.pop()) {
    sum += memory(pid).pss;
    rest.push(...childrenOf(pid));
  }
  return sum;
}

/** A pod writes as fast as it can, or a line each 10 ms with its time, while a client follows. */
async function logs(bench: Bench, access: ClientConfig, way: Way, agent: number): Promise<Figure[]> {
  const { client, watcher, nodeName, quick } = bench;
  const scenario = `logs -f, ${way.name}`;
  const lines = quick ? 400_000 : 2_000_000;
  // A watcher remembers names.
  const suffix = way.name.replaceAll(" ", "-").toLowerCase();
  const follow = async (what: string, script: string, take: (text: Buffer) => void) => {
    const name = `${what}-${suffix}`;
    await client.create(paths.pods(namespace), podOf({ name, nodeName, command: ["bash", "-c", script] }));
    await watcher.until("running", [name], limitMs);
    const [response] = await once(get(way.logs(name), { ...credentials(access), agent: false }), "response");
    if (response.statusCode !== 200) throw new Error(`the log is answered with ${response.statusCode}`);
    for await (const chunk of response) take(chunk as Buffer);
    await deletePod(client, name, 0);
    await watcher.until("gone", [name], limitMs);
  };
  let [bytes, first, last] = [0, 0, 0];
  const spent = spending(agent);
  // 100 bytes a line; it begins once the follower is there.
  await follow("fast", `sleep 1; yes ${"x".repeat(99)} | head -n ${lines}`, (chunk) => {
    first ||= nowMs();
    bytes += chunk.length;
    last = nowMs();
  });
  const used = spent();
  const lags: number[] = [];
  await follow(
    "steady",
    `sleep 1; for i in {1..${quick ? 100 : 500}}; do echo $EPOCHREALTIME; sleep 0.01; done`,
    (chunk) => {
      const now = nowMs();
      for (const line of chunk.toString().trim().split("\n")) lags.push(now - Number(line) * 1000);
    },
  );
  const aim = way.name === "direct" ? { aim: { is: ">", value: 200 } as const } : {};
  return [
    { scenario, name: "throughput", value: round(bytes / megabyte / ((last - first) / 1000)), unit: "MB/s", ...aim },
    { scenario, name: "agent's own CPU an MB", value: round((used * megabyte) / bytes, 2), unit: "ms" },
    { scenario, name: "part of the lines that came", value: round(bytes / lines, 2), unit: "%" },
    { scenario, name: "lag, p50", value: round(percentile(lags, 50)), unit: "ms" },
    { scenario, name: "lag, p99", value: round(percentile(lags, 99)), unit: "ms" },
  ];
}
