import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../src/clock.ts";
import type { Pod } from "../src/kube/types.ts";
import { InterlinkClient } from "../src/providers/interlink/client.ts";
import { InterlinkProvider } from "../src/providers/interlink/index.ts";
import { logRequest } from "../src/providers/interlink/logs.ts";
import { silentLogger } from "../src/telemetry/log.ts";
import { Child } from "./child.ts";
import type { HopInput } from "./hop.ts";
import { memory } from "./proc.ts";
import type { Bench } from "./scenarios.ts";
import { type Figure, nowMs, percentile, round } from "./statistics.ts";

const scenario = "interlink";
const { signal } = new AbortController();

let statusCalls = 0;
const { status: ask } = InterlinkClient.prototype;
InterlinkClient.prototype.status = function (...call) {
  statusCalls++;
  return ask.apply(this, call);
};

/** A chain of three programs on unix sockets, the node's part in this process. */
class Chain {
  readonly plugin: Child;
  readonly api: Child;
  readonly sockets: { plugin: string; api: string };

  private constructor(directory: string, provider: "local" | "dummy") {
    mkdirSync(join(directory, "s"), { recursive: true, mode: 0o700 });
    this.sockets = { plugin: join(directory, "s", "plugin"), api: join(directory, "s", "api") };
    this.plugin = new Child("hop", { socket: this.sockets.plugin, provider, directory } satisfies HopInput);
    this.api = new Child("hop", {
      socket: this.sockets.api,
      sidecar: this.sockets.plugin,
      directory,
    } satisfies HopInput);
  }

  static async start(directory: string, provider: "local" | "dummy"): Promise<Chain> {
    const chain = new Chain(directory, provider);
    await Promise.all([chain.plugin.message(), chain.api.message()]);
    return chain;
  }

  async stop(): Promise<void> {
    await this.api.stop();
    await this.plugin.stop();
  }
}

function pod(command: string): Pod {
  const uid = randomUUID();
  const container = { name: "main", image: "none", command: ["sh", "-c", command] };
  return {
    metadata: { namespace: "default", name: `p-${uid}`, uid },
    spec: { restartPolicy: "Never", containers: [container] },
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = nowMs();
  await work();
  return nowMs() - from;
}

interface Latencies {
  create: number[];
  status: number[];
  logs: number[];
}

async function latencies(socket: string, rounds: number): Promise<Latencies> {
  const client = new InterlinkClient({ url: `unix:${socket}` });
  const found: Latencies = { create: [], status: [], logs: [] };
  for (let round = 0; round < rounds; round++) {
    const one = pod("echo hello; exec sleep 1000");
    const ref = { namespace: "default", name: one.metadata!.name!, uid: one.metadata!.uid! };
    const empty = { configmaps: [], secrets: [], projectedvolumesmaps: [], jobscriptURL: "" };
    found.create.push(await timed(() => client.create({ pod: one, ...empty }, signal)));
    found.status.push(await timed(() => client.status([{ ...one, status: { phase: "Pending" } }], signal)));
    const options = { follow: false, previous: false, timestamps: false };
    found.logs.push(
      await timed(async () => {
        // The pod's start is asynchronous: until then there is no log.
        for (;;) {
          const log = await client.logs(logRequest(ref, "main", options, Date.now()), signal).catch(() => undefined);
          if (!log) continue;
          for await (const _ of log) break;
          return;
        }
      }),
    );
    await client.delete({ ...one, metadata: { ...one.metadata, deletionGracePeriodSeconds: 0 } }, signal, 10_000);
  }
  client.close();
  return found;
}

async function hopFigures(directory: string, rounds: number): Promise<Figure[]> {
  const chain = await Chain.start(directory, "dummy");
  await latencies(chain.sockets.api, 20); // warm
  await latencies(chain.sockets.plugin, 20);
  const one = await latencies(chain.sockets.plugin, rounds);
  const two = await latencies(chain.sockets.api, rounds);
  await chain.stop();
  return (["create", "status", "logs"] as const).flatMap((call) => {
    const name = call === "logs" ? "logs, first byte" : call;
    return [50, 99].flatMap((p): Figure[] => {
      const [near, far] = [percentile(one[call], p), percentile(two[call], p)];
      const aim = p === 50 ? { aim: { is: "<" as const, value: 5 } } : {};
      return [
        { scenario, name: `${name} of a plugin, p${p}`, value: round(near, 2), unit: "ms", ...aim },
        { scenario, name: `${name}, added by the API server, p${p}`, value: round(far - near, 2), unit: "ms", ...aim },
      ];
    });
  });
}

/** A node's Provider before the chain; its status calls are counted where they pass. */
async function throughChain(directory: string, count: number, windowMs: number): Promise<Figure[]> {
  const chain = await Chain.start(directory, "local");
  const phases = new Map<string, string>();
  const gone = new Set<string>();
  let look = () => {};
  const provider = new InterlinkProvider({
    context: {
      objects: { get: async () => undefined, watch: () => {} },
      events: { emit: () => {} },
      clock: systemClock,
      log: silentLogger,
      report: ({ pod: ref, status, gone: isGone }) => {
        phases.set(ref.uid, status.phase ?? "");
        if (isGone) gone.add(ref.uid);
        look();
      },
    },
    endpoint: { url: `unix:${chain.sockets.api}` },
    stateDir: join(directory, "node"),
    hostIP: "127.0.0.1",
    allocatable: { cpu: "2", memory: "8Gi" },
    statusIntervalMs: 1000,
    pingIntervalMs: 30_000,
  });
  await provider.recover();
  const all = (holds: () => boolean) =>
    new Promise<void>((resolve) => {
      look = () => holds() && resolve();
      look();
    });
  const short = Array.from({ length: count }, () => pod("true"));
  const from = nowMs();
  for (const one of short) provider.create(one);
  await all(() => short.every((one) => phases.get(one.metadata!.uid!) === "Succeeded"));
  for (const one of short) provider.delete(one, 0);
  await all(() => gone.size === short.length);
  const seconds = (nowMs() - from) / 1000;

  const long = Array.from({ length: count }, () => pod("exec sleep 1000"));
  for (const one of long) provider.create(one);
  await all(() => long.every((one) => phases.get(one.metadata!.uid!) === "Running"));
  const before = statusCalls;
  await new Promise((resolve) => setTimeout(resolve, windowMs));
  const calls = ((statusCalls - before) * 60_000) / windowMs;
  const [api, plugin] = [memory(chain.api.pid), memory(chain.plugin.pid)];
  for (const one of long) provider.delete(one, 0);
  await all(() => gone.size === short.length + long.length);
  await provider.stop();
  await chain.stop();
  const named = (name: string, value: number, unit: string): Figure => ({ scenario, name, value: round(value), unit });
  return [
    named(`${count} pods of true through the chain`, count / seconds, "pods/s"),
    named(`status calls with ${count} pods, one a second`, calls, "1/min"),
    named(`API server, RSS with ${count} pods`, api.rss, "MB"),
    named(`plugin, RSS with ${count} pods`, plugin.rss, "MB"),
  ];
}

/** What the chain of interLink costs, hop by hop; without a control plane, whose share is measured elsewhere. */
export async function interlink({ directory, quick }: Bench): Promise<Figure[]> {
  const hops = await hopFigures(join(directory, "hops"), quick ? 100 : 400);
  return [...hops, ...(await throughChain(join(directory, "chain"), quick ? 100 : 500, quick ? 10_000 : 60_000))];
}
