import type { ContainerExit, ContainerID, ContainerRuntime, ContainerSpec, RuntimeContainer } from "./contract.ts";

/** What a runtime's test gives, so that the conformance suite can run it. */
export interface RuntimeHarness {
  /** A runtime over this harness's state: called again, it is the next agent on the same host. */
  createRuntime(): ContainerRuntime;
  /** A spec whose directories exist; `argv` and what else the case is about are the caller's. */
  spec(about: Partial<ContainerSpec> & Pick<ContainerSpec, "argv">): ContainerSpec;
  /** Names in the environment that the runtime adds to the spec's. */
  addedEnv: readonly string[];
  /** The pid on this host of a process that has `pid` in its container. @default the same */
  hostPid?(id: ContainerID, pid: number): number;
  /** Leaves what an agent leaves that decided a start and was killed before it made it. */
  leaveUndecidedStart?(spec: ContainerSpec): Promise<void>;
  /** Removes everything; what ran has been killed before. */
  dispose(): Promise<void>;
}

/** One agent's time with a runtime: takes the callbacks and lets a test wait for them. */
export class RuntimeSession {
  readonly runtime: ContainerRuntime;
  recovered: RuntimeContainer[] = [];
  /** Every call of `exited`, in order. */
  readonly calls: (RuntimeContainer & { exit: ContainerExit })[] = [];
  readonly #running = new Map<string, ContainerID>();
  #waiting: (() => void)[] = [];

  constructor(runtime: ContainerRuntime) {
    this.runtime = runtime;
  }

  static async open(harness: RuntimeHarness): Promise<RuntimeSession> {
    const session = new RuntimeSession(harness.createRuntime());
    session.recovered = await session.runtime.recover({
      exited: (container) => {
        session.calls.push(container);
        session.#running.delete(session.#key(container.id));
        for (const wake of session.#waiting.splice(0)) wake();
      },
    });
    for (const { id, exit } of session.recovered) if (!exit) session.#running.set(session.#key(id), id);
    return session;
  }

  async start(spec: ContainerSpec): Promise<RuntimeContainer> {
    this.#running.set(this.#key(spec.id), spec.id);
    return this.runtime.start(spec);
  }

  /** How the container ended, as recovery or the callback told. */
  async exitOf(id: ContainerID): Promise<ContainerExit> {
    for (;;) {
      const found = [...this.recovered, ...this.calls].find((c) => c.exit && this.#key(c.id) === this.#key(id));
      if (found?.exit) return found.exit;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async run(spec: ContainerSpec): Promise<ContainerExit> {
    await this.start(spec);
    return this.exitOf(spec.id);
  }

  /** The log, as it is when the container has ended unless `follow` is false. */
  async log(id: ContainerID, options: Partial<Parameters<ContainerRuntime["logs"]>[1]> = {}): Promise<string> {
    const chunks: Uint8Array[] = [];
    const all = { follow: false, previous: false, timestamps: false, ...options };
    for await (const chunk of this.runtime.logs(id, all, new AbortController().signal)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }

  /** Follows the log until it matches: how a test learns that the container has come that far. */
  async seen(id: ContainerID, pattern: RegExp): Promise<RegExpExecArray> {
    let text = "";
    const options = { follow: true, previous: false, timestamps: false };
    for await (const chunk of this.runtime.logs(id, options, new AbortController().signal)) {
      text += Buffer.from(chunk).toString();
      const match = pattern.exec(text);
      if (match) return match;
    }
    throw new Error(`the container ended without ${pattern}: ${text}`);
  }

  /** Kills what still runs, waits for it, and lets go. */
  async close(): Promise<void> {
    const left = [...this.#running.values()];
    await Promise.all(left.map((id) => this.runtime.kill(id)));
    await Promise.all(left.map((id) => this.exitOf(id)));
    await this.runtime.stop();
  }

  #key(id: ContainerID): string {
    return `${id.podUID} ${id.container} ${id.attempt}`;
  }
}
