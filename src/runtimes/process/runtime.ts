import { mkdirSync } from "node:fs";
import type { Clock } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import type { LogOptions } from "../../kube/logOptions.ts";
import type { Logger } from "../../telemetry/log.ts";
import type {
  ContainerID,
  ContainerRuntime,
  ContainerRuntimeCallbacks,
  ContainerSpec,
  ContainerStats,
  RuntimeContainer,
  RuntimeFeature,
} from "../contract.ts";
import type { ImageService } from "../images.ts";
import type { AttachRequest, ContainerStreams, ExecRequest } from "../streams.ts";
import { writeAttemptRecord } from "./attemptRecord.ts";
import { readClaim, takeClaim } from "./claim.ts";
import { explainTooMuch, explainTotal, explainUnpassable } from "./environment.ts";
import { cannotRun } from "./exits.ts";
import type { CannotRun, Executable, Launcher } from "./launchers/contract.ts";
import { type AttemptPaths, attemptPaths, exitsDir, makeAttemptDir, removeAttempt, writeExitFile } from "./layout.ts";
import { readLogs } from "./logs/read.ts";
import { Monitor, type MonitorContext } from "./monitor.ts";
import { settleAttempts } from "./recover.ts";
import { findPackage, findShim, verifyShim } from "./shim.ts";
import { attemptMark, type LogLimits, shimArguments, YieldingQueue } from "./spawn.ts";
import { Spawner } from "./spawner.ts";
import type { ShimStarter } from "./starter.ts";
import { StatsReader } from "./stats/reader.ts";
import { StreamKeeper } from "./streamKeeper.ts";

export interface ProcessRuntimeOptions {
  /** This node's own directory; of one live agent only. */
  stateDir: string;
  launcher: Launcher;
  /** @default the built shim of this architecture, else one compiled with `cc` */
  shimPath?: string;
  /** Of a launcher that makes root filesystems real. */
  images?: ImageService;
  log: Logger;
  clock: Clock;
  logLimits: LogLimits;
  /** The runtime's name and version. @default process, of this hostlet */
  name?: string;
  version?: string;
  /** @param shim the shim's path, once recovery has begun. @default a process of the agent's own */
  starter?(shim: () => string): ShimStarter;
}

/** Runs containers as plain processes of this host, each under a shim of its own which outlives the agent. */
export function createProcessRuntime(options: ProcessRuntimeOptions): ContainerRuntime {
  return new ProcessRuntime(options);
}

class ProcessRuntime implements ContainerRuntime {
  readonly name: string;
  readonly version: string;
  readonly images?: ImageService;
  readonly #options: ProcessRuntimeOptions;
  readonly #monitors = new Map<string, Monitor>();
  /** Those whose end recovery has told, or the callback. */
  readonly #told = new Set<Monitor>();
  readonly #queue = new YieldingQueue();
  readonly #starter: ShimStarter;
  readonly #stopping = new AbortController();
  readonly #stats: StatsReader;
  readonly #streams: StreamKeeper;
  #callbacks: ContainerRuntimeCallbacks | undefined;
  #shim = "";

  constructor(options: ProcessRuntimeOptions) {
    this.#options = options;
    if (options.images) this.images = options.images;
    this.name = options.name ?? "process";
    this.version = options.version ?? findPackage().version;
    const shim = () => this.#shim;
    this.#starter = options.starter?.(shim) ?? new Spawner(shim);
    this.#stats = new StatsReader(options.clock);
    this.#streams = new StreamKeeper(options.launcher, options.clock);
  }

  features(isolation: ContainerSpec["isolation"]): ReadonlySet<RuntimeFeature> {
    return this.#options.launcher.features?.(isolation) ?? new Set();
  }

  async recover(callbacks: ContainerRuntimeCallbacks): Promise<RuntimeContainer[]> {
    const { stateDir, shimPath, log, clock } = this.#options;
    mkdirSync(exitsDir(stateDir), { recursive: true, mode: 0o700 });
    if (shimPath) await verifyShim(shimPath);
    this.#shim = shimPath ?? (await findShim(stateDir));
    await this.#options.launcher.open?.();
    await this.#starter.open?.();
    for (const { paths, restartCount, exit } of settleAttempts(stateDir, log, clock)) {
      const monitor = new Monitor(this.#context(), paths, restartCount);
      this.#monitors.set(paths.name, monitor);
      if (exit) monitor.finish(exit);
      else monitor.resume();
    }
    const monitors = [...this.#monitors.values()];
    await Promise.all(monitors.map((monitor) => monitor.ready));
    // From here on in one turn: an end is either in what is returned, or told by the callback.
    this.#callbacks = callbacks;
    for (const monitor of monitors) if (monitor.exit) this.#told.add(monitor);
    return monitors.map((monitor) => monitor.container);
  }

  async start(spec: ContainerSpec): Promise<RuntimeContainer> {
    const paths = attemptPaths(this.#options.stateDir, spec.id);
    try {
      return await this.#start(spec, paths);
    } catch (error) {
      if (error instanceof HostletError) throw error;
      throw new HostletError(
        "CreateContainerFailed",
        `container ${spec.id.container} could not be started on this host: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  async #start(spec: ContainerSpec, paths: AttemptPaths): Promise<RuntimeContainer> {
    const { launcher } = this.#options;
    this.#stopping.signal.throwIfAborted();
    await launcher.prepare(spec);
    const executable = this.#resolve(spec);
    makeAttemptDir(paths);
    const monitor = new Monitor(this.#context(), paths, spec.restartCount);
    try {
      await writeAttemptRecord(paths, spec);
      this.#monitors.set(paths.name, monitor);
      if ("exitCode" in executable) await this.#refuse(monitor, executable);
      else await this.#spawn(spec, monitor, executable);
    } catch (error) {
      // Stopped: what was spawned is the next agent's. Claimed by a shim: it runs, whoever started it.
      if (!this.#stopping.signal.aborted && readClaim(paths.dir)?.by !== "shim") {
        monitor.close();
        this.#monitors.delete(paths.name);
        removeAttempt(paths);
      }
      throw error;
    }
    return monitor.container;
  }

  #resolve(spec: ContainerSpec): Executable | CannotRun {
    const { launcher } = this.#options;
    const executable = launcher.resolve(spec);
    if ("exitCode" in executable) return executable;
    const wrapped = launcher.wrap(spec, executable);
    const unpassable = explainUnpassable(wrapped.argv, spec.env) ?? explainTooMuch(wrapped.argv, spec.env);
    return unpassable ? { exitCode: 128, message: unpassable } : wrapped;
  }

  async #spawn(spec: ContainerSpec, monitor: Monitor, executable: Executable): Promise<void> {
    this.#stopping.signal.throwIfAborted();
    const { stateDir, logLimits } = this.#options;
    const args = shimArguments(spec, executable, monitor.paths, stateDir, logLimits);
    try {
      monitor.expect();
      this.#starter.spawn(args, { ...spec.env, HOSTLET_ATTEMPT: attemptMark(spec.id) }, monitor, spec);
      await monitor.ready;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "E2BIG") throw error;
      await this.#refuse(monitor, { exitCode: 128, message: explainTotal(executable.argv, spec.env) });
    }
  }

  /** An attempt that can't work ends like any other, so that it is known after a restart too. */
  async #refuse(monitor: Monitor, { exitCode, message }: CannotRun): Promise<void> {
    const now = this.#options.clock.now();
    const record = cannotRun(exitCode, message, now);
    takeClaim(monitor.paths.dir, now);
    await writeExitFile(monitor.paths, record);
    monitor.finish(record);
  }

  async signal(id: ContainerID, signal: number): Promise<void> {
    await this.#find(id)?.request(`signal ${signal}`);
  }

  async kill(id: ContainerID): Promise<void> {
    await this.#find(id)?.request("kill");
  }

  async remove(id: ContainerID): Promise<void> {
    const paths = attemptPaths(this.#options.stateDir, id);
    const monitor = this.#monitors.get(paths.name);
    if (monitor && !monitor.exit) {
      throw new HostletError("NotSupported", `container ${paths.name} still runs: kill it before it is removed`);
    }
    if (monitor) this.#told.delete(monitor);
    this.#monitors.delete(paths.name);
    await this.#options.launcher.forget?.(id);
    await this.#starter.forget?.(id);
    removeAttempt(paths);
  }

  async *logs(id: ContainerID, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const monitor = this.#find(id);
    if (!monitor) {
      throw new HostletError(
        "NotFound",
        `there is no container ${id.container} (attempt ${id.attempt}) of pod ${id.podUID}`,
      );
    }
    yield* readLogs(monitor.paths.dir, options, monitor, this.#options.clock, signal);
  }

  stats(): Promise<ContainerStats[]> {
    const running = [...this.#monitors.values()].filter((monitor) => !monitor.exit);
    return this.#stats.read(
      running.map(({ container, paths: { id, name, dir } }) => ({ id, name, dir, startedAt: container.startedAt })),
    );
  }

  exec(id: ContainerID, request: ExecRequest, signal: AbortSignal): Promise<ContainerStreams> {
    return this.#streams.exec(id.container, this.#find(id), request, signal);
  }

  attach(id: ContainerID, request: AttachRequest, signal: AbortSignal): Promise<ContainerStreams> {
    return this.#streams.attach(id.container, this.#find(id), request, signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#streams.stop();
    this.#starter.stop();
    for (const monitor of this.#monitors.values()) monitor.close();
    this.#monitors.clear();
  }

  #find(id: ContainerID): Monitor | undefined {
    return this.#monitors.get(attemptPaths(this.#options.stateDir, id).name);
  }

  #context(): MonitorContext {
    return {
      shim: this.#shim,
      clock: this.#options.clock,
      log: this.#options.log,
      queue: this.#queue,
      runtime: this.name,
      explain: (id, exit) => this.#options.launcher.ended?.(id, exit) ?? exit,
      ended: (monitor) => this.#tell(monitor),
    };
  }

  #tell(monitor: Monitor): void {
    const { container } = monitor;
    if (!this.#callbacks || !container.exit || this.#told.has(monitor)) return;
    this.#told.add(monitor);
    this.#callbacks.exited({ ...container, exit: container.exit });
  }
}
