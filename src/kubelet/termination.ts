import { unlessAborted } from "../kube/abort.ts";
import { creationRetryMs } from "./decide/backoff.ts";
import type { StopAction } from "./decide/stop.ts";
import { type ContainerView, isRunning, latest } from "./decide/view.ts";
import type { KubeletDeps } from "./deps.ts";
import type { PodHooks } from "./hooks/podHooks.ts";
import type { PodEvents } from "./podEvents.ts";
import { stopSignal } from "./stopSignal.ts";

/** How long after a signal that could not be sent it is sent again. */
const lookAgainMs = 1000;
/** How long a runtime may take to pass a signal on. What comes after it in the container's end does not wait for it. */
const requestMs = 10_000;
/** How long a killed container may take to be gone before that is said, and it is killed again. */
const killMs = 10_000;

export interface ContainerStopperOptions {
  deps: Pick<KubeletDeps, "runtime" | "clock" | "log">;
  events: PodEvents;
  hooks: PodHooks;
  /** Of the worker: nothing more is to be done. */
  signal: AbortSignal;
  later(ms: number, callback: () => void): void;
  /** Looks after work that goes on beside. */
  background(work: Promise<void>): void;
  /** The pod has to be looked at. */
  kick(): void;
}

/**
 * Makes the steps of containers' ends. Each is made at once and answers within its deadline; that the container has
 * ended is the runtime's to tell.
 */
export class ContainerStopper {
  readonly #options: ContainerStopperOptions;
  /** How often a container was killed in vain. */
  readonly #vain = new Map<string, number>();

  constructor(options: ContainerStopperOptions) {
    this.#options = options;
  }

  async step(container: ContainerView, action: StopAction): Promise<void> {
    const { events, hooks } = this.#options;
    if (!container.stop) {
      container.stop = {};
      events.emit("Normal", "Killing", action.message, container);
    }
    container.stop.killAt = Math.min(container.stop.killAt ?? action.killAt, action.killAt);
    if (action.how === "preStop") return hooks.preStop(container);
    hooks.abandon(container);
    await (action.how === "kill" ? this.#kill(container) : this.#signal(container));
  }

  async #signal(container: ContainerView): Promise<void> {
    const { deps, later, background } = this.#options;
    const { stop } = container;
    stop!.signalledAt ??= deps.clock.now();
    const { id } = latest(container)!;
    if (await this.#request(container, deps.runtime.signal(id, stopSignal(container.spec)))) return;
    later(lookAgainMs, () => {
      if (container.stop === stop && !stop!.killed && isRunning(container)) background(this.#signal(container));
    });
  }

  async #kill(container: ContainerView): Promise<void> {
    const { deps, later, kick } = this.#options;
    const { stop } = container;
    stop!.killed = true;
    const { id } = latest(container)!;
    const done = await this.#request(container, deps.runtime.kill(id));
    const tries = this.#vain.get(id.container) ?? 0;
    later(done ? Math.max(killMs, creationRetryMs(tries + 1)) : lookAgainMs, () => {
      if (container.stop !== stop || !isRunning(container)) return;
      if (done) this.#inVain(container, tries + 1);
      delete stop!.killed;
      kick();
    });
  }

  #inVain({ spec }: ContainerView, tries: number): void {
    const { events } = this.#options;
    this.#vain.set(spec.name, tries);
    const why =
      "a process in uninterruptible sleep, of a file system that doesn't answer for one, ends only when that does";
    events.emit(
      "Warning",
      "FailedKillPod",
      `error killing container ${spec.name}: it was killed and has not ended; ${why}`,
    );
  }

  /** @returns whether it was passed on */
  async #request(container: ContainerView, request: Promise<void>): Promise<boolean> {
    const { deps, signal, events } = this.#options;
    const abort = new AbortController();
    const cancel = deps.clock.after(requestMs, () => abort.abort(new Error("the container runtime does not answer")));
    const stop = () => abort.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    try {
      await unlessAborted(request, abort.signal);
      return true;
    } catch (error) {
      if (signal.aborted || !isRunning(container)) return true;
      const { name } = container.spec;
      deps.log.warn({ err: error, container: name }, "the container could not be signalled; trying again");
      events.emit(
        "Warning",
        "FailedKillPod",
        `error killing container ${name}: ${(error as Error).message}`,
        container,
      );
      return false;
    } finally {
      cancel();
      signal.removeEventListener("abort", stop);
    }
  }
}
