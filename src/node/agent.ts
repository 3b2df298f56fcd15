import type { Clock } from "../clock.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import { unlessAborted } from "../kube/abort.ts";
import type { KubeClient } from "../kube/client.ts";
import { paths } from "../kube/paths.ts";
import { reflect } from "../kube/reflector.ts";
import { type Node, type Pod, podRef } from "../kube/types.ts";
import { nodeDevices, withDevices } from "../kubelet/devices/configured.ts";
import { findDevices } from "../kubelet/devices/find.ts";
import type { NodeNews, ProviderContext } from "../providers/contract.ts";
import { apiReviews } from "../server/guard/reviews.ts";
import { startHealthzServer } from "../server/healthz.ts";
import { startKubeletServer } from "../server/kubeletServer.ts";
import { createAgentMetrics } from "../telemetry/agentMetrics.ts";
import type { Logger } from "../telemetry/log.ts";
import { Admission } from "./admission.ts";
import { isStatic } from "./admissionDecision.ts";
import { createApiObjects } from "./apiObjects.ts";
import { keepClient } from "./certificates/clientCertificate.ts";
import { keepServing, type Serving } from "./certificates/serving.ts";
import { configz } from "./configz.ts";
import { createProvider } from "./createProvider.ts";
import { PodDispatcher } from "./dispatcher.ts";
import { type DrainCause, Drainer } from "./drainer.ts";
import { createEventRecorder } from "./events/recorder.ts";
import { readDevices } from "./hostDevices.ts";
import { agentID } from "./leaseGuard.ts";
import { nodeAddress } from "./nodeAddress.ts";
import type { AgentIdentityKind } from "./nodeLabels.ts";
import { nodeResources, readHostFacts } from "./nodeObject.ts";
import { PodStarts } from "./podStarts.ts";
import { ProvidedCapacity } from "./providedCapacity.ts";
import { Registration } from "./registration.ts";
import { serverAway } from "./serverAway.ts";
import { lockStateDir } from "./stateLock.ts";
import { isMirror } from "./staticPods/mirror.ts";
import { StaticPods } from "./staticPods/staticPods.ts";
import { StatusWriter } from "./statusWriter.ts";
import { type Walltime, walltimeLabels, walltimeLabelsEveryMs } from "./walltime.ts";

export interface AgentOptions {
  client: KubeClient;
  config: NodeConfig;
  /** The kubelet API's certificate and key, and the CA of its clients. */
  serving: Serving;
  /** The client certificate is in its file (`clientPairFile`), and is renewed there. */
  rotateClient?: boolean;
  /** Who `client` is for the API server. @default "other" */
  identity?: AgentIdentityKind;
  walltime?: Walltime;
  /** Namespaces whose pods this node takes. @default all */
  allowNamespaces?: string[];
  log: Logger;
  clock: Clock;
  /** Makes the kubelet API reachable for a cluster that can't reach this host. Called when it listens, with its port. */
  expose?(port: number, moved: () => void): Promise<Exposure>;
  /** Gives up waiting for the cluster. */
  signal?: AbortSignal;
}

/** Where the cluster finds the kubelet API. */
export interface Exposure {
  /** May change, which `moved` tells. */
  readonly port: number;
  stop(): Promise<void>;
}

export interface Agent {
  readonly nodeName: string;
  /** Where the kubelet API listens. */
  readonly port: number;
  /** Pods in charge now. */
  podCount(): number;
  /**
   * Cordons the node and ends its pods as a kubelet's graceful shutdown does: Failed, `Terminated`, DisruptionTarget. Each has
   * its own grace period, but no more than `leftMs` in all. Resolves when all have ended and the cluster knows it, or
   * when the time is up.
   */
  drain(cause: DrainCause, leftMs: number): Promise<void>;
  /** Removes the Node object, where the identity may. */
  removeNode(): Promise<void>;
  /** Leaves; pods run on for the next agent. What is known is written first, for as long as `flushMs` allows. Idempotent. */
  stop(flushMs?: number): Promise<void>;
}

/**
 * Everything that a node is, put together: found again what ran, registered, watching. Resolves when the Node is Ready.
 * @throws {HostletError} StateLocked, ListenFailed, NodeNameTaken, RuntimeUnavailable
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { client, serving, log, clock, identity = "other", walltime, allowNamespaces } = options;
  const abort = new AbortController();
  const lock = lockStateDir(options.config.stateDir);
  const undo: (() => Promise<void> | void)[] = [() => lock.release()];
  const stopAll = async () => {
    abort.abort();
    for (const step of undo.splice(0).reverse()) await step();
  };
  const onAbort = () => abort.abort(options.signal?.reason);
  options.signal?.addEventListener("abort", onAbort, { once: true });
  // Only the start can be given up: pods may be ended afterwards, and the cluster is to hear of it.
  const started = () => options.signal?.removeEventListener("abort", onAbort);

  try {
    const facts = readHostFacts();
    const isLocal = options.config.provider === "local";
    const devices = isLocal ? nodeDevices(options.config, findDevices(await readDevices(abort.signal))) : new Map();
    const config = withDevices(options.config, devices);
    const ip = config.nodeIP ?? (await nodeAddress(client.server));
    const events = createEventRecorder({ client, clock, log, host: config.nodeName });
    undo.push(() => events.stop());
    const writer = new StatusWriter({ client, clock, log });
    undo.push(() => writer.stop());
    const objects = createApiObjects({ client, clock, log });
    const metrics = createAgentMetrics();
    const starts = new PodStarts(clock, metrics);
    const news: NodeNews = {};
    let registration: Registration | undefined;
    const context: ProviderContext = {
      objects,
      events,
      clock,
      log,
      metrics,
      nodeNews(told) {
        Object.assign(news, told);
        registration?.newsChanged();
      },
      report(update) {
        starts.reported(update);
        if (statics.owns(update.pod.uid)) statics.report(update);
        else dispatcher.report(update);
        drainer.look();
      },
    };
    const resources = nodeResources(config, facts);
    const provider = createProvider({ config, context, hostIP: ip, allocatable: resources, devices });
    undo.push(() => provider.stop());
    const drainer = new Drainer({ provider, clock });
    const admission = new Admission(config.nodeName, resources);
    const dispatcher = new PodDispatcher({
      provider,
      writer,
      clock,
      admission,
      refused: (pod, { reason, message }) => events.emit({ pod: podRef(pod), type: "Warning", reason, message }),
      accepts: (pod) => allowNamespaces?.includes(pod.metadata?.namespace ?? "") ?? true,
      created(pod) {
        starts.seen(pod.metadata?.uid ?? "");
        drainer.admit(pod);
      },
    });
    const statics = new StaticPods({
      path: config.podManifestPath,
      nodeName: config.nodeName,
      everyMs: config.syncFrequency,
      ...{ provider, admission, client, writer, clock, log },
    });
    undo.push(() => statics.stop());
    const recovered = await provider.recover();
    dispatcher.recovered(recovered.filter((pod) => !isStatic(pod)));
    statics.start(recovered);

    const server = await startKubeletServer({
      host: ip === "127.0.0.1" ? ip : "0.0.0.0",
      port: config.kubeletPort,
      ...serving,
      provider,
      reviews: apiReviews(client, config.nodeName),
      node: { name: config.nodeName, stateDir: config.stateDir, config: configz(config), logDir: config.logDir },
      metrics,
      clock,
      log,
    });
    undo.push(() => server.stop());
    const { nodeName, stateDir } = config;
    const keeping = { client, nodeName, stateDir, clock, log, signal: abort.signal };
    keepServing({ ...keeping, serving, ip, use: (certificates) => server.useCertificates(certificates) });
    if (options.rotateClient) keepClient(keeping);
    if (config.healthzPort > 0) {
      const healthz = await startHealthzServer(config.healthzPort, log);
      undo.push(() => healthz.stop());
    }

    const exposure = await options.expose?.(server.port, () => registration?.renew());
    undo.push(() => exposure?.stop());
    const capacity = new ProvidedCapacity({ provider, clock, log, signal: abort.signal });
    await capacity.start();
    const registered = new Registration({
      client,
      config,
      identity,
      agentID: agentID(config.stateDir),
      ...(walltime && {
        changingLabels: (now: number) => walltimeLabels(walltime, now),
        labelsEveryMs: walltimeLabelsEveryMs(walltime),
      }),
      facts,
      ip,
      port: () => exposure?.port ?? server.port,
      runtimeVersion: provider.info.runtimeVersion,
      provided: () => capacity.resources,
      news: () => {
        admission.resize(nodeResources(config, facts, { ...capacity.resources, ...news.resources }));
        return news;
      },
      clock,
      log,
      signal: abort.signal,
    });
    await registered.start();
    registration = registered;
    if (Object.keys(news).length > 0) registered.newsChanged();
    const watching = reflect<Pod>({
      client,
      path: paths.pods(),
      query: { fieldSelector: `spec.nodeName=${config.nodeName}` },
      onSync(pods) {
        dispatcher.sync(pods.filter((pod) => !isMirror(pod)));
        statics.mirrors(pods.filter(isMirror));
      },
      onEvent(type, pod) {
        if (isMirror(pod)) type === "DELETED" ? statics.mirrorRemoved(pod) : statics.mirrorChanged(pod);
        else if (type === "DELETED") dispatcher.removed(pod);
        else dispatcher.changed(pod);
      },
      backoff: serverAway,
      log,
      clock,
      signal: abort.signal,
    });
    undo.push(() => watching.catch(() => {}));
    const observe = (node: Node | undefined) => {
      registered.observe(node);
      admission.observe(node);
      statics.observe(node);
    };
    const watchingSelf = reflect<Node>({
      client,
      path: paths.nodes(),
      query: { fieldSelector: `metadata.name=${config.nodeName}` },
      onSync: ([node]) => observe(node),
      onEvent: (type, node) => observe(type === "DELETED" ? undefined : node),
      backoff: serverAway,
      log,
      clock,
      signal: abort.signal,
    });
    undo.push(() => watchingSelf.catch(() => {}));
    started();
    log.info({ node: config.nodeName, port: server.port }, "the node is ready");

    let stopping: Promise<void> | undefined;
    return {
      nodeName: config.nodeName,
      port: exposure?.port ?? server.port,
      podCount: () => provider.list().length,
      async drain(cause, leftMs) {
        const deadline = AbortSignal.any([abort.signal, AbortSignal.timeout(Math.max(1, leftMs))]);
        // Pods are ended whether or not the cluster can be told.
        const cordoned = registered.cordon(cause.reason, cause.message).catch((error) => {
          log.warn({ err: error }, "the node could not be cordoned");
        });
        await drainer.drain(cause, leftMs, deadline);
        await Promise.all([unlessAborted(cordoned, deadline).catch(() => {}), writer.flush(deadline)]);
      },
      removeNode: () => registered.remove(),
      stop(flushMs = 2000) {
        stopping ??= (async () => {
          const flush = AbortSignal.timeout(flushMs);
          await Promise.all([writer.flush(flush), events.flush(flushMs), registered.release().catch(() => {})]);
          await stopAll();
        })();
        return stopping;
      },
    };
  } catch (error) {
    started();
    await stopAll();
    throw error;
  }
}
