import type { Clock } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import type { LogOptions } from "../../kube/logOptions.ts";
import type { Logger } from "../../telemetry/log.ts";
import type {
  ContainerExit,
  ContainerID,
  ContainerRuntime,
  ContainerRuntimeCallbacks,
  ContainerSpec,
  ContainerStats,
  RuntimeContainer,
  RuntimeFeature,
} from "../contract.ts";
import { explainTooMuch, explainTotal, explainUnpassable } from "../process/environment.ts";
import type { AttachRequest, ContainerStreams, ExecRequest } from "../streams.ts";
import type { ContainerInspect, ContainerListed } from "./api.ts";
import { type CreateOptions, createBody } from "./createBody.ts";
import { EngineClient } from "./engineClient.ts";
import { EngineError, hasStatus } from "./engineError.ts";
import { followEvents } from "./eventStream.ts";
import { attachTo, execIn } from "./exec.ts";
import { EngineImages } from "./images.ts";
import { readEngineLogs } from "./logs.ts";
import { engineName, labels } from "./names.ts";
import { cannotRun, observe, startFailure } from "./observed.ts";
import { readStats } from "./stats.ts";
import { Tracked } from "./tracked.ts";

export interface DockerRuntimeOptions {
  /** Path of the engine's unix socket. */
  socket: string;
  /** Tells this agent's containers from those of others on the same engine; the same after a restart. */
  node: string;
  clock: Clock;
  log: Logger;
  logLimits: { maxBytes: number; maxFiles: number };
}

const features: ReadonlySet<RuntimeFeature> = new Set([
  "users",
  "securityProfiles",
  "readOnlyRootFilesystem",
  "readOnlyMounts",
  "limits",
  "processNamespace",
]);

/** Runs containers by Docker or Podman, over the Engine API. They are the engine's: nothing of them is kept here. */
export function createDockerRuntime(options: DockerRuntimeOptions): ContainerRuntime {
  return new DockerRuntime(options);
}

class DockerRuntime implements ContainerRuntime {
  /** Of the engine, once it has answered. */
  name = "docker";
  version = "unknown";
  readonly images: EngineImages;
  readonly #options: DockerRuntimeOptions;
  readonly #client: EngineClient;
  readonly #containers = new Map<string, Tracked>();
  readonly #stopping = new AbortController();
  #callbacks: ContainerRuntimeCallbacks | undefined;

  constructor(options: DockerRuntimeOptions) {
    this.#options = options;
    this.#client = new EngineClient(options.socket);
    this.images = new EngineImages(this.#client, () => options.clock.now());
  }

  features(): ReadonlySet<RuntimeFeature> {
    return features;
  }

  async recover(callbacks: ContainerRuntimeCallbacks): Promise<RuntimeContainer[]> {
    const { clock, log } = this.#options;
    try {
      const found = await this.#client.negotiate();
      this.version = found.Version.replace(/[^0-9A-Za-z.+~-]/g, "");
      if (found.Components?.some(({ Name }) => Name.startsWith("Podman"))) this.name = "podman";
      await followEvents({
        ...{ client: this.#client, label: this.#label, clock, log, signal: this.#stopping.signal },
        ended: (engineID) => this.#background(this.#lookAt(engineID)),
        opened: () => this.#lookAtAll(),
      });
      await this.#findAll();
    } catch (cause) {
      throw new HostletError("RuntimeUnavailable", (cause as Error).message, { cause });
    }
    // From here on in one turn: an end is either in what is returned, or told by the callback.
    this.#callbacks = callbacks;
    const tracked = [...this.#containers.values()];
    for (const one of tracked) one.live(true);
    return tracked.map(({ container }) => container);
  }

  async start(spec: ContainerSpec): Promise<RuntimeContainer> {
    try {
      return await this.#start(spec);
    } catch (cause) {
      if (cause instanceof HostletError) throw cause;
      const message = `container ${spec.id.container} could not be created: ${(cause as Error).message}`;
      throw new HostletError("CreateContainerFailed", message, { cause });
    }
  }

  async #start(spec: ContainerSpec): Promise<RuntimeContainer> {
    this.#stopping.signal.throwIfAborted();
    if (!spec.image) throw new Error("it has no image");
    const unpassable = explainUnpassable(spec.argv, spec.env) ?? explainTooMuch(spec.argv, spec.env);
    if (unpassable !== undefined) return this.#refuse(spec, 128, unpassable);
    const engineID = await this.#create(createBody(spec, this.#createOptions()), spec);
    const tracked = new Tracked(spec.id, engineID, spec.tty, (ended) => this.#tell(ended));
    try {
      this.#containers.set(keyOf(spec.id), tracked);
      await this.#client.json({ method: "POST", path: `/containers/${engineID}/start` });
    } catch (error) {
      this.#containers.delete(keyOf(spec.id));
      return this.#notStarted(spec, engineID, error);
    }
    const observed = observe(this.name, await this.#inspect(engineID));
    if (!observed) throw new EngineError(0, "the container engine does not know the container that it has started");
    const { exit, ...container } = observed.container;
    tracked.container = container;
    if (exit) tracked.finish(exit);
    tracked.live(false);
    return container;
  }

  /** The container is there and did not run, or the engine went away before it said so. */
  async #notStarted(spec: ContainerSpec, engineID: string, error: unknown): Promise<RuntimeContainer> {
    if (!(error instanceof EngineError) || error.status === 0) throw error;
    await this.#delete(engineID);
    if (error.message.includes("argument list too long")) {
      return this.#refuse(spec, 128, explainTotal(spec.argv, spec.env));
    }
    const exitCode = startFailure(error.message);
    // 128: the engine's own trouble, or a mount's, which another try may find better.
    if (exitCode === 128) throw error;
    return this.#refuse(spec, exitCode, `${spec.argv[0]}: ${error.message}`);
  }

  /** An attempt that can't work ends like any other: a container that is never started keeps its exit. */
  async #refuse(spec: ContainerSpec, exitCode: number, message: string): Promise<RuntimeContainer> {
    const exit = cannotRun(exitCode, message, this.#options.clock.now());
    const body = createBody({ ...spec, env: {}, mounts: [], argv: ["refused"] }, this.#createOptions());
    const own = { ...(body.Labels as Record<string, string>), [labels.refused]: JSON.stringify(exit) };
    const engineID = await this.#create({ ...body, Labels: own }, spec);
    const observed = observe(this.name, await this.#inspect(engineID));
    if (!observed) throw new EngineError(0, "the container engine does not know the container that it has made");
    const tracked = new Tracked(spec.id, engineID, spec.tty, (ended) => this.#tell(ended));
    tracked.container = observed.container;
    this.#containers.set(keyOf(spec.id), tracked);
    tracked.finish(exit);
    tracked.live(false);
    return tracked.container;
  }

  async signal(id: ContainerID, signal: number): Promise<void> {
    const tracked = this.#containers.get(keyOf(id));
    if (!tracked || tracked.container.exit) return;
    tracked.sent = signal;
    try {
      await this.#client.json({ method: "POST", path: `/containers/${tracked.engineID}/kill`, query: { signal } });
    } catch (error) {
      // 409: it does not run any more. Podman says it with 500.
      if (hasStatus(error, 404, 409) || (error instanceof EngineError && /state improper/.test(error.message))) return;
      throw error;
    }
  }

  kill(id: ContainerID): Promise<void> {
    return this.signal(id, 9);
  }

  async remove(id: ContainerID): Promise<void> {
    const tracked = this.#containers.get(keyOf(id));
    if (tracked && !tracked.container.exit) {
      const message = `container ${engineName(id)} still runs: kill it before it is removed`;
      throw new HostletError("NotSupported", message);
    }
    await this.#delete(tracked?.engineID ?? engineName(id));
    this.#containers.delete(keyOf(id));
  }

  async *logs(id: ContainerID, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { engineID, tty, container } = this.#find(id);
    // What was never started has no log, and not every engine says so.
    if (container.exit && container.startedAt === undefined) return;
    const now = this.#options.clock.now();
    const ownTail = this.name === "podman";
    yield* readEngineLogs({ client: this.#client, engineID, tty, options, ownTail, now, signal });
  }

  async exec(id: ContainerID, request: ExecRequest, signal: AbortSignal): Promise<ContainerStreams> {
    const tracked = this.#findRunning(id);
    const gone = () => tracked.sent === 9 || tracked.container.exit !== undefined;
    const ending = AbortSignal.any([signal, this.#stopping.signal]);
    return execIn(this.#client, tracked.engineID, request, gone, ending);
  }

  async attach(id: ContainerID, request: AttachRequest, signal: AbortSignal): Promise<ContainerStreams> {
    const { engineID, tty, ended } = this.#findRunning(id);
    const { OpenStdin, StdinOnce: once = false } = (await this.#inspect(engineID)).Config;
    if (request.stdin && !OpenStdin) {
      throw new HostletError("NotSupported", `container ${id.container} does not hold its standard input open`);
    }
    return attachTo(
      this.#client,
      engineID,
      tty,
      { ...request, once },
      ended,
      AbortSignal.any([signal, this.#stopping.signal]),
    );
  }

  async stats(): Promise<ContainerStats[]> {
    const running = [...this.#containers.values()].filter(({ container }) => !container.exit);
    const found = await Promise.all(running.map((one) => readStats(this.#client, one, this.#options.clock.now())));
    return found.flatMap((stats) => stats ?? []);
  }

  async stop(): Promise<void> {
    this.#callbacks = undefined;
    this.#stopping.abort();
    this.#containers.clear();
  }

  get #label(): string {
    return `${labels.node}=${this.#options.node}`;
  }

  #createOptions(): CreateOptions {
    return { node: this.#options.node, network: "host", logs: this.#options.logLimits };
  }

  /** @throws {HostletError} CreateContainerFailed where the attempt was made before */
  async #create(body: Record<string, unknown>, { id }: ContainerSpec): Promise<string> {
    const name = engineName(id);
    try {
      const call = { method: "POST", path: "/containers/create", query: { name }, body } as const;
      return (await this.#client.json<{ Id: string }>(call)).Id;
    } catch (cause) {
      // Podman says it with 500.
      const taken =
        hasStatus(cause, 409) || (cause instanceof Error && /name .* (already )?in use/i.test(cause.message));
      if (!taken) throw cause;
      const message = `an attempt is never made twice: the container engine has a container ${name}`;
      throw new HostletError("CreateContainerFailed", message, { cause });
    }
  }

  #inspect(engineID: string): Promise<ContainerInspect> {
    return this.#client.json({ method: "GET", path: `/containers/${engineID}/json` });
  }

  async #delete(engineID: string): Promise<void> {
    try {
      await this.#client.json({ method: "DELETE", path: `/containers/${engineID}`, query: { v: true } });
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
    }
  }

  #listed(): Promise<ContainerListed[]> {
    const filters = JSON.stringify({ label: [this.#label] });
    return this.#client.json({ method: "GET", path: "/containers/json", query: { all: true, filters } });
  }

  async #findAll(): Promise<void> {
    for (const { Id } of await this.#listed()) {
      const inspect = await this.#settled(Id);
      const observed = inspect && observe(this.name, inspect);
      if (!inspect || !observed) continue;
      const { exit, id } = observed.container;
      const tracked = new Tracked(id, Id, inspect.Config.Tty ?? false, (ended) => this.#tell(ended));
      const { exit: _known, ...container } = observed.container;
      tracked.container = container;
      if (exit) tracked.finish(exit);
      this.#containers.set(keyOf(id), tracked);
    }
  }

  /**
   * A container that was claimed and never ran is taken back: without force, so that one whose start the engine still had before it
   * is kept as what it is, a running one.
   */
  async #settled(engineID: string): Promise<ContainerInspect | undefined> {
    for (;;) {
      const inspect = await this.#inspect(engineID).catch((error) => {
        if (hasStatus(error, 404)) return undefined;
        throw error;
      });
      if (!inspect || observe(this.name, inspect)?.phase !== "created") return inspect;
      this.#options.log.info({ container: engineID }, "a start that was never made is taken back");
      try {
        await this.#delete(engineID);
        return undefined;
      } catch (error) {
        if (!hasStatus(error, 409)) throw error;
      }
    }
  }

  async #lookAtAll(): Promise<void> {
    const running = [...this.#containers.values()].filter(({ container }) => !container.exit);
    await Promise.all(running.map(({ engineID }) => this.#lookAt(engineID)));
  }

  /** Has it ended? Asked after an event about it, and when events may have been missed. */
  async #lookAt(engineID: string): Promise<void> {
    const tracked = [...this.#containers.values()].find((one) => one.engineID === engineID);
    if (!tracked || tracked.container.exit) return;
    try {
      const observed = observe(this.name, await this.#inspect(engineID));
      if (observed?.container.exit) tracked.finish(observed.container.exit);
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
      tracked.finish(this.#vanished(tracked));
    }
  }

  /** Somebody removed it behind our back. */
  #vanished({ container: { startedAt } }: Tracked): ContainerExit {
    return {
      ...{ exitCode: 137, reason: "ContainerStatusUnknown" },
      message: "The container was removed from its engine, and nobody knows how it ended",
      ...(startedAt !== undefined && { startedAt }),
      finishedAt: this.#options.clock.now(),
    };
  }

  #tell(container: RuntimeContainer & { exit: ContainerExit }): void {
    this.#callbacks?.exited(container);
  }

  #find(id: ContainerID): Tracked {
    const found = this.#containers.get(keyOf(id));
    if (found) return found;
    const message = `there is no container ${id.container} (attempt ${id.attempt}) of pod ${id.podUID}`;
    throw new HostletError("NotFound", message);
  }

  #findRunning(id: ContainerID): Tracked {
    const found = this.#find(id);
    if (!found.container.exit) return found;
    throw new HostletError("NotFound", `container ${id.container} of pod ${id.podUID} does not run`);
  }

  #background(work: Promise<void>): void {
    // The engine that went away meanwhile is asked again when its events are back.
    work.catch((error) => this.#options.log.warn({ err: error }, "a container could not be looked at"));
  }
}

function keyOf({ podUID, container, attempt }: ContainerID): string {
  return `${podUID}/${container}/${attempt}`;
}
