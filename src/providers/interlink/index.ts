import type { Duplex } from "node:stream";
import { HostletError } from "../../errors.ts";
import type { LogOptions } from "../../kube/logOptions.ts";
import { type Pod, type PodRef, type PodStatus, podRef } from "../../kube/types.ts";
import type { Allocatable } from "../../kubelet/env/resourceField.ts";
import type { Eviction } from "../../kubelet/eviction.ts";
import type { AttachRequest, ContainerStreams, ExecRequest } from "../../runtimes/streams.ts";
import type { PodStats, Provider, ProviderCapabilities, ProviderContext, ProviderInfo } from "../contract.ts";
import { InterlinkClient } from "./client.ts";
import type { EndpointOptions } from "./endpoint.ts";
import { Link } from "./link.ts";
import { readLogs } from "./logs.ts";
import { Poller } from "./poller.ts";
import { type PodRecord, PodRecords } from "./records.ts";
import { RemotePod } from "./remotePod.ts";
import { openPort, openStreams } from "./streams.ts";
import { jobAnnotation } from "./wire/extension.ts";

export interface InterlinkProviderOptions {
  context: ProviderContext;
  endpoint: EndpointOptions;
  stateDir: string;
  hostIP: string;
  allocatable: Allocatable;
  /** Between two status calls, ms. */
  statusIntervalMs: number;
  /** Between two pings, ms. */
  pingIntervalMs: number;
}

/** Pods run at the far end of interLink's protocol, wherever and by whatever. */
export class InterlinkProvider implements Provider {
  readonly info: ProviderInfo = { name: "interlink", runtimeVersion: "interlink://0.6" };
  readonly #options: InterlinkProviderOptions;
  readonly #client: InterlinkClient;
  readonly #records: PodRecords;
  readonly #link: Link;
  readonly #pods = new Map<string, RemotePod>();
  readonly #stop = new AbortController();

  /** @throws {HostletError} ConfigInvalid */
  constructor(options: InterlinkProviderOptions) {
    this.#options = options;
    this.#client = new InterlinkClient(options.endpoint);
    this.#records = new PodRecords(options.stateDir);
    this.#link = new Link({
      client: this.#client,
      clock: options.context.clock,
      log: options.context.log,
      intervalMs: options.pingIntervalMs,
      extended: () => {
        for (const pod of this.#pods.values()) pod.extended();
      },
      news: (news) => options.context.nodeNews?.(news),
      signal: this.#stop.signal,
    });
  }

  capabilities(): ProviderCapabilities {
    return this.#link.capabilities;
  }

  async recover(): Promise<Pod[]> {
    const { clock, log } = this.#options.context;
    const { records, broken } = this.#records.list();
    for (const name of broken) log.error({ name }, "the record of a pod can't be read; its JobID says whether it runs");
    for (const record of records) this.#begin(record);
    await this.#link.start();
    new Poller({
      client: this.#client,
      clock,
      log,
      intervalMs: this.#options.statusIntervalMs,
      pods: () => this.#pods.values(),
      signal: this.#stop.signal,
    });
    return this.list();
  }

  create(pod: Pod): void {
    const { uid } = podRef(pod);
    const known = this.#pods.get(uid);
    if (known) known.update(pod);
    else this.#begin(this.#adopted(pod) ?? this.#fresh(pod));
  }

  update(pod: Pod): void {
    this.#pods.get(podRef(pod).uid)?.update(pod);
  }

  delete(pod: Pod, gracePeriodSeconds: number): void {
    const ref = podRef(pod);
    const adopted = this.#pods.has(ref.uid) ? undefined : this.#adopted(pod);
    if (adopted) this.#begin(adopted);
    const known = this.#pods.get(ref.uid);
    known?.update(pod);
    if (known) known.delete(gracePeriodSeconds);
    else this.#options.context.report({ pod: ref, status: {}, gone: true });
  }

  evict(uid: string, eviction: Eviction): void {
    this.#pods.get(uid)?.evict(eviction);
  }

  get(uid: string): PodStatus | undefined {
    return this.#pods.get(uid)?.status;
  }

  list(): Pod[] {
    return [...this.#pods.values()].map(({ pod }) => pod);
  }

  logs(pod: PodRef, container: string, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const known = this.#pods.get(pod.uid);
    if (!known) throw new HostletError("NotFound", `pod "${pod.name}" not found on this node`);
    const { containers = [], initContainers = [] } = known.pod.spec ?? {};
    if (![...initContainers, ...containers].some(({ name }) => name === container)) {
      throw new HostletError("NotFound", `container ${container} is not valid for pod ${pod.name}`);
    }
    const { clock } = this.#options.context;
    return readLogs(this.#client, pod, container, options, clock.now(), AbortSignal.any([signal, this.#stop.signal]));
  }

  async exec(pod: PodRef, container: string, request: ExecRequest, signal: AbortSignal): Promise<ContainerStreams> {
    return openStreams(this.#client, "exec", this.#running(pod, "exec"), container, request, this.#until(signal));
  }

  async attach(pod: PodRef, container: string, request: AttachRequest, signal: AbortSignal): Promise<ContainerStreams> {
    return openStreams(this.#client, "attach", this.#running(pod, "attach"), container, request, this.#until(signal));
  }

  async portForward(pod: PodRef, port: number, signal: AbortSignal): Promise<Duplex> {
    return openPort(this.#client, this.#running(pod, "portForward"), port, this.#until(signal));
  }

  async stats(): Promise<PodStats[]> {
    const ability = this.#link.capabilities.stats;
    if (ability !== true) throw new HostletError("NotSupported", ability);
    const all = await this.#client.stats(this.#stop.signal);
    return all.filter(({ pod }) => this.#pods.has(pod.uid));
  }

  #running(pod: PodRef, ability: "exec" | "attach" | "portForward"): PodRef {
    const able = this.#link.capabilities[ability];
    if (able !== true) throw new HostletError("NotSupported", able);
    if (!this.#pods.has(pod.uid)) throw new HostletError("NotFound", `pod "${pod.name}" not found on this node`);
    return pod;
  }

  #until(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#stop.signal]);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#client.close();
  }

  #begin(record: PodRecord): void {
    const { context, hostIP, allocatable } = this.#options;
    const { objects, events, clock, log } = context;
    const { uid } = podRef(record.pod);
    const pod = new RemotePod(
      {
        client: this.#client,
        records: this.#records,
        objects,
        events,
        clock,
        log,
        hostIP,
        allocatable,
        stopped: this.#stop.signal,
        extended: () => this.#link.extended,
        report: (update) => {
          if (!this.#stop.signal.aborted) context.report(update);
        },
        gone: () => this.#pods.delete(uid),
      },
      record,
    );
    this.#pods.set(uid, pod);
  }

  #fresh(pod: Pod): PodRecord {
    return { version: 1, pod, startedAt: this.#options.context.clock.now(), sent: false };
  }

  /** A pod of which nothing is recorded here, and whose object says that an earlier agent gave it to the far end. */
  #adopted(pod: Pod): PodRecord | undefined {
    const jobID = pod.metadata?.annotations?.[jobAnnotation];
    if (!jobID) return undefined;
    const { status } = pod;
    return {
      version: 1,
      pod,
      startedAt: Date.parse(status?.startTime ?? "") || this.#options.context.clock.now(),
      sent: true,
      jobID,
      ...(status?.phase && { status }),
    };
  }
}
