import type { ContainerExit, ContainerID, RuntimeContainer } from "../contract.ts";
import type { StreamsEnd } from "../streams.ts";

type Ended = RuntimeContainer & { exit: ContainerExit };

/** One container of the engine's that is ours, from its start to its removal. Its end is told once, and not before it is live. */
export class Tracked {
  readonly engineID: string;
  readonly tty: boolean;
  container: RuntimeContainer;
  /** The last signal that this agent sent: an engine tells an exit of 137 by SIGKILL from any other only by that. */
  sent: number | undefined;
  /** Resolves when it has ended. */
  readonly ended: Promise<StreamsEnd>;
  readonly #tell: (ended: Ended) => void;
  #resolve: (end: StreamsEnd) => void = () => {};
  #live = false;
  #told = false;

  constructor(id: ContainerID, engineID: string, tty: boolean, tell: (ended: Ended) => void) {
    this.engineID = engineID;
    this.tty = tty;
    this.container = { id, restartCount: 0, containerID: "" };
    this.#tell = tell;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Final; a second end is ignored. */
  finish(exit: ContainerExit): void {
    if (this.container.exit) return;
    const bySignal = this.sent !== undefined && exit.exitCode === 128 + this.sent;
    const signal = bySignal ? this.sent : exit.reason === "OOMKilled" && exit.exitCode === 137 ? 9 : undefined;
    const whole = { ...exit, ...(signal !== undefined && { signal }) };
    this.container = { ...this.container, exit: whole };
    this.#resolve({ exitCode: whole.exitCode, ...(signal !== undefined && { signal }) });
    this.#look();
  }

  /** The caller of start() or recover() has the container now. @param known its end too, if it has ended */
  live(known: boolean): void {
    this.#live = true;
    if (known && this.container.exit) this.#told = true;
    // Only after whoever waits for the start has resumed.
    else if (this.container.exit) setImmediate(() => this.#look());
  }

  #look(): void {
    const { container } = this;
    if (!this.#live || this.#told || !container.exit) return;
    this.#told = true;
    this.#tell({ ...container, exit: container.exit });
  }
}
