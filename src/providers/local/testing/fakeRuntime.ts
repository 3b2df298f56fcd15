import { PassThrough } from "node:stream";
import { HostletError } from "../../../errors.ts";
import { onAbort } from "../../../kube/abort.ts";
import type { LogOptions } from "../../../kube/logOptions.ts";
import type {
  ContainerExit,
  ContainerID,
  ContainerRuntime,
  ContainerRuntimeCallbacks,
  ContainerSpec,
  RuntimeContainer,
} from "../../../runtimes/contract.ts";
import type { ImageService } from "../../../runtimes/images.ts";
import type { ContainerStreams, ExecRequest } from "../../../runtimes/streams.ts";
import type { ManualClock } from "../../../testing/manualClock.ts";

export interface FakeContainer {
  container: RuntimeContainer;
  spec: ContainerSpec;
  /** Signals and kills, in order: `15`, `kill`. */
  told: string[];
}

export interface FakeExec {
  /** @default 0 */
  exitCode?: number;
  stdout?: string;
  stderr?: string;
}

/**
 * What outlives an agent: the containers themselves. A command that ends in `exit 3` ends at once, any other runs until it
 * is signalled or told to end; `echo` and a word is its log.
 */
export class FakeHost {
  readonly clock: Pick<ManualClock, "now">;
  readonly containers: FakeContainer[] = [];
  /** `name#attempt`, in the order of the starts. */
  readonly starts: string[] = [];
  /** `name#attempt` and what it was told, in order. */
  readonly signals: string[] = [];
  readonly removed: string[] = [];
  /** Containers that do not end on SIGTERM. */
  readonly deaf = new Set<string>();
  /** Awaited in each start, before the container runs. */
  onStart: (spec: ContainerSpec) => Promise<void> | void = () => {};
  onKill: (id: ContainerID) => Promise<void> | void = () => {};
  onRemove: (id: ContainerID) => Promise<void> | void = () => {};
  onSignal: (id: ContainerID) => Promise<void> | void = () => {};
  /** What a command in a container comes to. */
  onExec: (id: ContainerID, argv: string[], signal: AbortSignal) => Promise<FakeExec> | FakeExec = () => ({});
  /** `name#attempt` and the command, in order. */
  readonly execs: string[] = [];
  callbacks: ContainerRuntimeCallbacks | undefined;
  /** Set before the provider is made: the runtime has images then. */
  images: ImageService | undefined;

  constructor(clock: Pick<ManualClock, "now">) {
    this.clock = clock;
  }

  /** The latest start of a container of this name. */
  find(name: string): FakeContainer {
    const found = this.containers.findLast((c) => c.container.id.container === name);
    if (!found) throw new Error(`no container ${name} was started`);
    return found;
  }

  /** Ends the latest start of the container; an agent that is there is told. */
  exit(name: string, exitCode: number, signal?: number): void {
    this.end(this.find(name), {
      exitCode,
      ...(signal !== undefined && { signal }),
      reason: exitCode === 0 ? "Completed" : "Error",
      finishedAt: this.clock.now(),
    });
  }

  end(found: FakeContainer, exit: ContainerExit): void {
    const { container } = found;
    if (container.exit) return;
    const startedAt = container.startedAt;
    found.container = { ...container, exit: { ...exit, ...(startedAt !== undefined && { startedAt }) } };
    this.callbacks?.exited(found.container as RuntimeContainer & { exit: ContainerExit });
  }
}

export const keyOf = (id: ContainerID): string => `${id.container}#${id.attempt}`;

/** A ContainerRuntime in memory. A new one over the same host is what a restarted agent has. */
export class FakeRuntime implements ContainerRuntime {
  readonly name = "fake";
  readonly version = "1";
  readonly #host: FakeHost;
  readonly images?: ImageService;
  readonly #callbacks: { current?: ContainerRuntimeCallbacks } = {};

  constructor(host: FakeHost) {
    this.#host = host;
    if (host.images) this.images = host.images;
  }

  async recover(callbacks: ContainerRuntimeCallbacks): Promise<RuntimeContainer[]> {
    this.#callbacks.current = callbacks;
    this.#host.callbacks = callbacks;
    return this.#host.containers.map((c) => c.container);
  }

  async start(spec: ContainerSpec): Promise<RuntimeContainer> {
    await this.#host.onStart(spec);
    const { id, restartCount, argv } = spec;
    if (this.#find(id)) throw new Error(`attempt ${keyOf(id)} is started twice`);
    this.#host.starts.push(keyOf(id));
    const startedAt = this.#host.clock.now();
    const containerID = `fake://${id.podUID}/${id.container}/${id.attempt}`;
    const container = {
      ...{ id, restartCount, containerID, startedAt },
      ...(spec.image && { imageID: spec.image.id }),
    };
    const found: FakeContainer = { spec, told: [], container };
    this.#host.containers.push(found);
    const code = /\bexit (\d+)$/.exec(argv.join(" "))?.[1];
    if (code !== undefined) setImmediate(() => this.#exit(id, Number(code)));
    return container;
  }

  async signal(id: ContainerID, signal: number): Promise<void> {
    this.#tell(id, String(signal));
    await this.#host.onSignal(id);
    if (!this.#host.deaf.has(id.container)) setImmediate(() => this.#exit(id, 128 + signal, signal));
  }

  async kill(id: ContainerID): Promise<void> {
    this.#tell(id, "kill");
    await this.#host.onKill(id);
    setImmediate(() => this.#exit(id, 137, 9));
  }

  async remove(id: ContainerID): Promise<void> {
    await this.#host.onRemove(id);
    const index = this.#host.containers.findIndex((c) => isSame(c.container.id, id));
    if (index < 0) return;
    if (!this.#host.containers[index]!.container.exit) throw new Error(`${keyOf(id)} still runs`);
    this.#host.containers.splice(index, 1);
    this.#host.removed.push(keyOf(id));
  }

  async *logs(id: ContainerID, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const said = /\becho (\w+)/.exec(this.#find(id)?.spec.argv.join(" ") ?? "")?.[1];
    yield Buffer.from(`${said ?? `log of ${keyOf(id)}`}\n`);
    if (!options.follow || this.#find(id)?.container.exit) return;
    await new Promise<void>((resolve) => onAbort(signal, resolve));
  }

  async exec(id: ContainerID, { argv }: ExecRequest, signal: AbortSignal): Promise<ContainerStreams> {
    const found = this.#find(id);
    if (!found || found.container.exit) throw new HostletError("NotFound", `container ${keyOf(id)} does not run`);
    this.#host.execs.push(`${keyOf(id)} ${argv.join(" ")}`);
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const ended = Promise.resolve(this.#host.onExec(id, argv, signal)).then((result) => {
      stdout.end(result.stdout ?? "");
      stderr.end(result.stderr ?? "");
      return { exitCode: result.exitCode ?? 0 };
    });
    ended.catch(() => {}); // whoever needs it awaits it
    return { stdout, stderr, resize: () => {}, ended, close: () => {} };
  }

  async stop(): Promise<void> {
    if (this.#host.callbacks === this.#callbacks.current) this.#host.callbacks = undefined;
  }

  #find(id: ContainerID): FakeContainer | undefined {
    return this.#host.containers.find((c) => isSame(c.container.id, id));
  }

  #tell(id: ContainerID, what: string): void {
    this.#find(id)?.told.push(what);
    this.#host.signals.push(`${keyOf(id)} ${what}`);
  }

  #exit(id: ContainerID, exitCode: number, signal?: number): void {
    const found = this.#find(id);
    if (!found) return;
    const reason = exitCode === 0 ? "Completed" : "Error";
    const finishedAt = this.#host.clock.now();
    this.#host.end(found, { exitCode, reason, finishedAt, ...(signal !== undefined && { signal }) });
  }
}

function isSame(a: ContainerID, b: ContainerID): boolean {
  return a.podUID === b.podUID && a.container === b.container && a.attempt === b.attempt;
}
