import { once } from "node:events";
import type { Clock } from "../../clock.ts";
import type { Pod } from "../../kube/types.ts";
import {
  decodeCreateRequests,
  decodeLogs,
  decodePing,
  decodePod,
  decodePods,
  decodeStatuses,
  parseJson,
} from "../../providers/interlink/wire/decode.ts";
import { extensionPaths } from "../../providers/interlink/wire/extension.ts";
import type { PingResponse, WirePodStatus } from "../../providers/interlink/wire/types.ts";
import type { Logger } from "../../telemetry/log.ts";
import { type Exchange, HttpError, type Routes, type UpgradeHandler } from "../http/exchange.ts";
import type { ListenOptions } from "../http/listen.ts";
import { type Authenticate, type HopServer, startHopServer } from "../http/server.ts";
import { checkLogRequest } from "../plugin/logRequest.ts";
import type { ApiConfig } from "./config.ts";
import { type JobScripts, jobScripts } from "./jobScripts.ts";
import { apiDocument } from "./openapi.ts";
import { proxyStream } from "./proxyStream.ts";
import { retrieve } from "./retrieve.ts";
import { StatusCache } from "./statusCache.ts";
import { Upstream } from "./upstream.ts";

export interface ApiServerOptions extends Pick<ListenOptions, "address" | "tls" | "insecure"> {
  authenticate?: Authenticate | undefined;
  config: Pick<ApiConfig, "sidecar" | "jobScriptBuildConfig" | "jobScriptTemplate" | "statusMaxAgeMs">;
  clock: Clock;
  log: Logger;
}

/**
 * interLink's API server: between nodes and a plugin, for which it puts together what a pod needs, and remembers what
 * it said. Keeps nothing that it could not ask for again.
 * @throws {HostletError} ConfigInvalid, ListenFailed
 */
export async function startApiServer(options: ApiServerOptions): Promise<HopServer> {
  const api = new ApiServer(options);
  const { address, tls, insecure, authenticate, log } = options;
  const { routes, upgrades } = api;
  const server = await startHopServer({
    address,
    tls,
    insecure,
    authenticate,
    routes,
    upgrades,
    log,
    what: "the interLink API",
  });
  return {
    port: server.port,
    async stop() {
      await server.stop();
      api.close();
    },
  };
}

class ApiServer {
  readonly routes: Routes;
  readonly upgrades: Record<string, UpgradeHandler>;
  readonly #options: ApiServerOptions;
  readonly #upstream: Upstream;
  readonly #cache: StatusCache;
  readonly #jobScripts: JobScripts;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    const { sidecar, statusMaxAgeMs } = options.config;
    this.#upstream = new Upstream(sidecar!);
    this.#cache = new StatusCache(statusMaxAgeMs);
    this.#jobScripts = jobScripts(options.config);
    this.routes = {
      "/create": (exchange) => this.#create(exchange),
      "/delete": (exchange) => this.#delete(exchange),
      "/status": (exchange) => this.#status(exchange),
      "/getLogs": (exchange) => this.#logs(exchange),
      "/pinglink": (exchange) => this.#ping(exchange),
      "/updateCache": async (exchange) => exchange.text(200, "Updated cache"),
      "/openapi.json": async (exchange) => exchange.json(apiDocument()),
      [extensionPaths.stats]: (exchange) => this.#extension(exchange, extensionPaths.stats),
      [extensionPaths.evict]: (exchange) => this.#extension(exchange, extensionPaths.evict),
      [extensionPaths.update]: (exchange) => this.#extension(exchange, extensionPaths.update),
    };
    const { exec, attach, portForward } = extensionPaths;
    this.upgrades = Object.fromEntries(
      [exec, attach, portForward].map((path) => [path, proxyStream(this.#upstream, path)]),
    );
  }

  close(): void {
    this.#upstream.close();
  }

  async #create(exchange: Exchange): Promise<void> {
    const request = decodeCreateRequests(parseJson(await exchange.body()));
    const data = retrieve(request, this.#options.config.jobScriptBuildConfig);
    const script = await this.#jobScripts(data, request.jobscriptURL, exchange.signal);
    const body = JSON.stringify(script === undefined ? data : { ...data, jobScript: script });
    const answer = await this.#upstream.ok(exchange, "POST", "/create", body);
    this.#cache.delete(request.pod.metadata?.uid ?? "");
    this.#relay(exchange, answer.body);
  }

  async #delete(exchange: Exchange): Promise<void> {
    const body = await exchange.body();
    const pod = decodePod(parseJson(body));
    this.#cache.delete(pod.metadata?.uid ?? "");
    const answer = await this.#upstream.ok(exchange, "POST", "/delete", body);
    if (!exchange.ours)
      exchange.text(200, answer.ours ? "All containers for submitted Pods have been deleted" : answer.body);
    else if (answer.ours) this.#relay(exchange, answer.body);
    else exchange.json([]);
  }

  async #status(exchange: Exchange): Promise<void> {
    const { clock } = this.#options;
    const body = await exchange.body();
    const pods = decodePods(body.trim() === "" ? null : parseJson(body));
    const asked = pods.filter((pod) => this.#mustAsk(pod));
    if (asked.length > 0) {
      const answer = await this.#upstream.ok(exchange, "GET", "/status", JSON.stringify(asked));
      const found = this.#decode(answer.body).map((status) => (answer.ours ? status : withoutExtension(status)));
      // What an end of ours says nothing of is not there; others may only have no time for it.
      if (answer.ours) for (const pod of asked) this.#cache.delete(pod.metadata?.uid ?? "");
      this.#cache.set(found, clock.now());
    }
    const known =
      pods.length === 0
        ? this.#cache.all(clock.now())
        : pods.flatMap((pod) => this.#cache.get(pod.metadata?.uid ?? "", clock.now()) ?? []);
    exchange.json(exchange.ours ? known : known.filter(({ hostlet }) => !hostlet?.unknown).map(withoutExtension));
  }

  /** As interLink's: a pod whose node thinks that it goes on, and one of which nothing is known. */
  #mustAsk(pod: Pod): boolean {
    const phase = pod.status?.phase;
    if (phase === "Running" || phase === "Pending") return true;
    return this.#cache.get(pod.metadata?.uid ?? "", this.#options.clock.now()) === undefined;
  }

  #decode(body: string): WirePodStatus[] {
    try {
      return decodeStatuses(body.trim() === "" ? null : parseJson(body));
    } catch (cause) {
      throw new HttpError(502, `the plugin's answer to /status ${(cause as Error).message}`, { cause });
    }
  }

  async #logs(exchange: Exchange): Promise<void> {
    const request = decodeLogs(parseJson(await exchange.body()));
    checkLogRequest(request);
    const source = await this.#upstream.open(exchange, "/getLogs", JSON.stringify(request));
    exchange.begin(source.headers["content-type"]);
    for await (const chunk of source as AsyncIterable<Buffer>) {
      if (!exchange.response.write(chunk)) await once(exchange.response, "drain", { signal: exchange.signal });
    }
    if (!source.complete) throw new HttpError(502, "the plugin's log broke off");
    exchange.response.end();
  }

  async #ping(exchange: Exchange): Promise<void> {
    const answer = await this.#upstream.call(exchange, "GET", "/status", "[]").catch((error: Error) => {
      throw new HttpError(503, `503: ${error.message}`, { cause: error });
    });
    if (answer.status < 200 || answer.status > 299)
      throw new HttpError(503, `503: HTTP ${answer.status}: ${answer.body}`);
    const { hostlet, ...reply } = decodePing(answer.body);
    if (!exchange.ours) this.#relay(exchange, answer.ours ? JSON.stringify(reply) : answer.body);
    else exchange.json({ ...reply, hostlet: answer.ours && hostlet ? hostlet : noExtension } satisfies PingResponse);
  }

  /** What the protocol has no word for. */
  async #extension(exchange: Exchange, path: string): Promise<void> {
    if (!exchange.ours) throw new HttpError(404, "404 page not found");
    const body = await exchange.body();
    const answer = await this.#upstream.call(exchange, exchange.request.method ?? "GET", path, body);
    if (!answer.ours) throw new HttpError(501, pluginIsNotOurs);
    if (answer.status !== 200) throw new HttpError(answer.status, answer.body);
    this.#relay(exchange, answer.body);
  }

  #relay(exchange: Exchange, body: string): void {
    exchange.body200(body);
  }
}

const pluginIsNotOurs =
  "interLink's protocol does not carry it, and the plugin behind this API server is not hostlet's";

const noExtension = {
  foreign: true,
  capabilities: {
    exec: pluginIsNotOurs,
    attach: pluginIsNotOurs,
    portForward: pluginIsNotOurs,
    stats: pluginIsNotOurs,
  },
};

function withoutExtension({ hostlet: _, ...status }: WirePodStatus): WirePodStatus {
  return status;
}
