import { once } from "node:events";
import type { Clock } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import type { EventSink } from "../../kube/events.ts";
import { type Pod, podRef } from "../../kube/types.ts";
import type { Provider, ProviderContext } from "../../providers/contract.ts";
import {
  decodeEviction,
  decodeLogs,
  decodePluginCreate,
  decodePod,
  decodePods,
  parseJson,
} from "../../providers/interlink/wire/decode.ts";
import { extensionPaths, jobAnnotation } from "../../providers/interlink/wire/extension.ts";
import type { PingResponse, WirePodStatus } from "../../providers/interlink/wire/types.ts";
import type { Logger } from "../../telemetry/log.ts";
import { pluginDocument } from "../api/openapi.ts";
import { type Exchange, HttpError, type Routes, type UpgradeHandler } from "../http/exchange.ts";
import type { ListenOptions } from "../http/listen.ts";
import { type Authenticate, type HopServer, startHopServer } from "../http/server.ts";
import { admit, checkNames } from "./admit.ts";
import { checkLogRequest, logOptions } from "./logRequest.ts";
import { PluginPods } from "./pluginPods.ts";
import { RequestObjects } from "./requestObjects.ts";
import { serveStreams } from "./streams.ts";
import { lostStatus, unknownStatus, wireStatus } from "./wireStatus.ts";

export interface PluginOptions extends Pick<ListenOptions, "address" | "tls" | "insecure"> {
  authenticate?: Authenticate | undefined;
  /** Puts the Provider together. It runs until the plugin stops, and its pods beyond that. */
  provider(context: ProviderContext): Provider;
  /** For what came with the pods; of the plugin's own. */
  stateDir: string;
  /** What there is for pods; told in the answer to a ping. @default nothing: the node's own figures stay */
  resources?: PingResponse["resources"];
  taints?: PingResponse["taints"];
  events?: EventSink;
  clock: Clock;
  log: Logger;
}

/** How long a delete call is held until the pod is gone: less than interLink's programs wait for an answer. */
const longestDeleteMs = 100_000;

/**
 * Any Provider as a plugin of interLink's API server. What it was given it finds again after a restart, before it listens.
 * @throws {HostletError} ConfigInvalid, ListenFailed
 */
export async function startPlugin(options: PluginOptions): Promise<HopServer> {
  const plugin = new Plugin(options);
  await plugin.recover();
  const { address, tls, insecure, authenticate, log } = options;
  try {
    const server = await startHopServer({
      address,
      tls,
      insecure,
      authenticate,
      routes: plugin.routes,
      upgrades: plugin.upgrades,
      log,
      what: "the plugin",
    });
    return {
      port: server.port,
      async stop() {
        await server.stop();
        await plugin.stop();
      },
    };
  } catch (error) {
    await plugin.stop();
    throw error;
  }
}

class Plugin {
  readonly routes: Routes;
  readonly upgrades: Record<string, UpgradeHandler>;
  readonly #options: PluginOptions;
  readonly #objects: RequestObjects;
  readonly #pods = new PluginPods();
  readonly #provider: Provider;
  /** Pods that were asked to be deleted; they are never created again. */
  readonly #ending = new Set<string>();

  constructor(options: PluginOptions) {
    this.#options = options;
    this.#objects = new RequestObjects(options.stateDir, options.log);
    this.#provider = options.provider({
      objects: this.#objects,
      events: options.events ?? {
        emit: ({ pod, ...event }) => options.log.info({ pod: `${pod.namespace}/${pod.name}`, ...event }, "event"),
      },
      clock: options.clock,
      log: options.log,
      report: (update) => {
        this.#pods.report(update);
        if (!update.gone) return;
        this.#objects.remove(update.pod.uid);
        this.#ending.delete(update.pod.uid);
      },
    });
    this.routes = {
      "/create": (exchange) => this.#create(exchange),
      "/delete": (exchange) => this.#delete(exchange),
      "/status": (exchange) => this.#status(exchange),
      "/getLogs": (exchange) => this.#logs(exchange),
      "/pinglink": async (exchange) => this.#ping(exchange),
      "/updateCache": async (exchange) => exchange.text(200, "Updated cache"),
      "/openapi.json": async (exchange) => exchange.json(pluginDocument()),
      [extensionPaths.stats]: (exchange) => this.#stats(exchange),
      [extensionPaths.evict]: (exchange) => this.#evict(exchange),
      [extensionPaths.update]: (exchange) => this.#update(exchange),
    };
    const kinds = ["exec", "attach", "portForward"] as const;
    this.upgrades = Object.fromEntries(kinds.map((kind) => [extensionPaths[kind], serveStreams(this.#provider, kind)]));
  }

  async recover(): Promise<void> {
    const found = await this.#provider.recover();
    // Here nobody hands over the pods of today, as a node does: what was accepted is what there is. Until it has them, a Provider
    // is silent about pods that it found again.
    const accepted = this.#objects.settle(new Set(found.map((pod) => podRef(pod).uid)));
    for (const pod of accepted) this.#provider.create(pod);
  }

  stop(): Promise<void> {
    return this.#provider.stop();
  }

  /** Twice the same pod is one pod: the caller may not have heard the first answer. */
  async #create(exchange: Exchange): Promise<void> {
    const create = decodePluginCreate(parseJson(await exchange.body()));
    checkNames(create.pod);
    const { uid } = podRef(create.pod);
    if (this.#ending.has(uid)) throw new HttpError(409, `pod ${uid} is being deleted`);
    const known = this.#pods.get(uid);
    if (known?.gone) throw new HttpError(409, `pod ${uid} was deleted`);
    if (!known && !this.#here(uid)) {
      const { pod, objects } = admit(create);
      this.#objects.set(uid, { ...objects, pod });
      this.#provider.create(pod);
    }
    exchange.json({ PodUID: uid, PodJID: uid });
  }

  async #delete(exchange: Exchange): Promise<void> {
    const pod = decodePod(parseJson(await exchange.body()));
    checkNames(pod);
    const { uid } = podRef(pod);
    const here = this.#here(uid);
    if (here) {
      const grace = pod.metadata?.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30;
      this.#ending.add(uid);
      this.#objects.markEnding(uid);
      this.#provider.delete(here, Math.max(0, grace));
      const deadline = AbortSignal.any([exchange.signal, AbortSignal.timeout(longestDeleteMs)]);
      if (!(await this.#pods.gone(uid, deadline))) throw new HttpError(504, `pod ${uid} is still ending`);
    }
    if (exchange.ours) exchange.json([this.#statusOf(pod, true)]);
    else exchange.text(200, "All containers for submitted Pods have been deleted");
  }

  async #status(exchange: Exchange): Promise<void> {
    const body = await exchange.body();
    const pods = body.trim() === "" ? [] : decodePods(parseJson(body));
    if (pods.length === 0) this.#ping(exchange);
    else exchange.json(pods.map((pod) => this.#statusOf(pod, exchange.ours)).filter((status) => status !== undefined));
  }

  #statusOf(pod: Pod, ours: boolean): WirePodStatus | undefined {
    const uid = pod.metadata?.uid ?? "";
    const now = this.#options.clock.now();
    const known = this.#pods.get(uid) ?? (this.#here(uid) && { status: this.#provider.get(uid) ?? {}, gone: false });
    if (!known) {
      if (ours) return unknownStatus(pod);
      const jobID = pod.metadata?.annotations?.[jobAnnotation];
      // Who never had it created asks whether it is here; who did must hear that it is lost.
      return jobID ? lostStatus(pod, jobID, now) : undefined;
    }
    const wire = wireStatus(pod, known.status, uid, now);
    return ours ? { ...wire, hostlet: { status: known.status, gone: known.gone } } : wire;
  }

  async #logs(exchange: Exchange): Promise<void> {
    const request = decodeLogs(parseJson(await exchange.body()));
    checkLogRequest(request);
    const pod = this.#here(request.PodUID);
    const ref = pod && podRef(pod);
    if (!ref || ref.namespace !== request.Namespace) {
      throw new HostletError("NotFound", `pod "${request.PodName || request.PodUID}" not found on this node`);
    }
    const container = request.ContainerName || (pod.spec?.containers?.[0]?.name ?? "");
    const chunks = this.#provider.logs(ref, container, logOptions(request), exchange.signal);
    const iterator = chunks[Symbol.asyncIterator]();
    const { response } = exchange;
    // What is wrong shows with the first piece; of a log that is followed it may be long in coming, and the head must not be.
    const first = iterator.next();
    const early = await Promise.race([first.then(() => true), this.#moment(exchange.signal)]);
    exchange.begin();
    if (!early) first.catch(() => {});
    for (let next = await first; !next.done; next = await iterator.next()) {
      if (!response.write(next.value)) await once(response, "drain", { signal: exchange.signal });
    }
    response.end();
  }

  #moment(signal: AbortSignal): Promise<false> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(250, () => resolve(false));
      signal.addEventListener("abort", () => {
        cancel();
        resolve(false);
      });
    });
  }

  #ping(exchange: Exchange): void {
    const { resources, taints } = this.#options;
    const reply: PingResponse = { status: "ok", ...(resources && { resources }), ...(taints && { taints }) };
    if (exchange.ours) reply.hostlet = { capabilities: { ...this.#provider.capabilities() } };
    exchange.json(reply);
  }

  async #stats(exchange: Exchange): Promise<void> {
    const ability = this.#provider.capabilities().stats;
    if (ability !== true) throw new HostletError("NotSupported", ability);
    exchange.json(await this.#provider.stats!());
  }

  async #evict(exchange: Exchange): Promise<void> {
    const { pod, reason, message, gracePeriodSeconds } = decodeEviction(parseJson(await exchange.body()));
    this.#provider.evict(pod.metadata?.uid ?? "", { reason, message, gracePeriodSeconds });
    exchange.json({});
  }

  /** The pod's object, or something that it refers to, is another one now. */
  async #update(exchange: Exchange): Promise<void> {
    const update = decodePluginCreate(parseJson(await exchange.body()));
    checkNames(update.pod);
    const { uid } = podRef(update.pod);
    if (this.#here(uid) && !this.#ending.has(uid)) {
      const { pod, objects } = admit(update);
      this.#objects.set(uid, { ...objects, pod });
      this.#provider.update(pod);
    }
    exchange.json({});
  }

  #here(uid: string): Pod | undefined {
    return this.#provider.list().find((pod) => pod.metadata?.uid === uid);
  }
}
