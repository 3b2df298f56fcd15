import type { ServerResponse } from "node:http";
import { contentType, exposition, type Family } from "../../telemetry/exposition.ts";
import { ProcessMetrics } from "../../telemetry/processMetrics.ts";
import { answerJson } from "../answer.ts";
import type { Route, RouteDeps } from "../route.ts";
import { cadvisorMetrics } from "../stats/cadvisorMetrics.ts";
import { podMetrics } from "../stats/podMetrics.ts";
import type { StatsSource } from "../stats/reading.ts";
import { resourceMetrics } from "../stats/resourceMetrics.ts";
import { summaryOf } from "../stats/summary.ts";

/** As cadvisor's housekeeping; who wants rates reads counters with their times. */
const scrapeMs = 10_000;
/** Somebody waits for what is now: `kubectl top`, a HorizontalPodAutoscaler. */
const onDemandMs = 1_000;

export function metricsRoutes({ node, metrics, provider }: RouteDeps, stats: StatsSource): Route[] {
  const own = new ProcessMetrics();
  const route = (path: string, families: () => Promise<Family[]>): Route => ({
    methods: ["GET"],
    path,
    access: ["metrics"],
    handle: async (_call, response) => answerMetrics(response, await families()),
  });
  return [
    route("/metrics", async () => [
      ...metrics.registry.families(),
      ...podMetrics(node.name, provider.list(), (uid) => provider.get(uid)),
      ...(await own.families()),
    ]),
    route("/metrics/probes", async () => metrics.probes.families()),
    route("/metrics/resource", async () => resourceMetrics((await stats.read(onDemandMs)).latest)),
    route("/metrics/cadvisor", async () => cadvisorMetrics((await stats.read(scrapeMs)).latest)),
    {
      methods: ["GET", "POST"],
      path: "/stats/summary",
      access: ["stats"],
      async handle({ query }, response) {
        const short = query.get("only_cpu_and_memory") === "true";
        answerJson(response, summaryOf(node.name, await stats.read(short ? onDemandMs : scrapeMs), short));
      },
    },
  ];
}

function answerMetrics(response: ServerResponse, families: Family[]): void {
  response.writeHead(200, { "content-type": contentType }).end(exposition(families));
}
