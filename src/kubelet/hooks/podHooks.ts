import type { Clock } from "../../clock.ts";
import type { LifecycleHandler } from "../../kube/types.ts";
import type { ContainerRuntime } from "../../runtimes/contract.ts";
import type { Logger } from "../../telemetry/log.ts";
import { type ContainerView, latest } from "../decide/view.ts";
import type { PodEvents } from "../podEvents.ts";
import { runHook } from "./hook.ts";

export interface PodHooksOptions {
  runtime: ContainerRuntime;
  clock: Clock;
  events: PodEvents;
  log: Logger;
  podIP: string;
}

const over = new Error("the hook is not waited for any more");

/** The hooks of one pod's containers. They write into the containers' views how they stand; the caller looks again. */
export class PodHooks {
  readonly #options: PodHooksOptions;
  readonly #running = new Map<ContainerView, AbortController>();

  constructor(options: PodHooksOptions) {
    this.#options = options;
  }

  /** Resolves when the hook is over. A failure ends the container. */
  async postStart(container: ContainerView): Promise<void> {
    const handler = container.spec.lifecycle?.postStart;
    if (!handler) return;
    const attempt = latest(container);
    container.postStart = "running";
    const failed = await this.#run(container, handler, "FailedPostStartHook", "PostStartHook failed");
    if (latest(container)?.id.attempt !== attempt?.id.attempt) return;
    delete container.postStart;
    if (failed) container.failed = "postStart";
  }

  /** Resolves when the hook is over, or is not waited for any more. */
  async preStop(container: ContainerView): Promise<void> {
    const { stop } = container;
    const handler = container.spec.lifecycle?.preStop;
    if (!stop || !handler) return;
    stop.preStop = "running";
    await this.#run(container, handler, "FailedPreStopHook", "PreStopHook failed");
    stop.preStop = "done";
  }

  /** Whatever hook of the container runs is not waited for any more, and ended. */
  abandon(container: ContainerView): void {
    this.#running.get(container)?.abort(over);
  }

  /** Idempotent. */
  stop(): void {
    for (const abort of this.#running.values()) abort.abort(over);
  }

  /** @returns whether it failed */
  async #run(container: ContainerView, handler: LifecycleHandler, reason: string, message: string): Promise<boolean> {
    const { runtime, clock, events, log, podIP } = this.#options;
    const { id } = latest(container)!;
    this.abandon(container);
    const abort = new AbortController();
    this.#running.set(container, abort);
    try {
      await runHook(handler, { runtime, clock, id, container: container.spec, podIP }, abort.signal);
      return false;
    } catch (error) {
      if (abort.signal.aborted) return false;
      // The Event doesn't have what the hook said, which may be a secret; neither has the kubelet's.
      log.warn({ container: id.container, err: error }, message);
      events.emit("Warning", reason, message, container);
      return true;
    } finally {
      if (this.#running.get(container) === abort) this.#running.delete(container);
    }
  }
}
