import type { Clock } from "../../clock.ts";
import { ApiError, isAlreadyExists, isNotFound } from "../../kube/apiError.ts";
import type { KubeClient } from "../../kube/client.ts";
import { paths } from "../../kube/paths.ts";
import { type BackoffOptions, retry } from "../../kube/retry.ts";
import type { Event } from "../../kube/types.ts";
import type { Logger } from "../../telemetry/log.ts";

export interface EventWriterOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  /** Events that wait; one more is dropped. @default 1000, as client-go */
  maxQueued?: number;
  /** Writes at the same time. @default 4 */
  inFlight?: number;
  /** @default 500 ms to 10 s, which with 12 tries outlasts a restart of the API server */
  backoff?: BackoffOptions;
}

type Write = { type: "create" | "patch"; event: Event };

const tries = 12;

/**
 * Writes Events in the background. Writes of one Event come one after another, and a later one replaces one that still
 * waits, as each holds all that was counted so far. A full queue drops what comes, and says so in the log.
 */
export class EventWriter {
  readonly #options: EventWriterOptions;
  readonly #maxQueued: number;
  readonly #inFlight: number;
  readonly #stop = new AbortController();
  /** By namespace and name, in the order of arrival. */
  readonly #waiting = new Map<string, Write>();
  readonly #busy = new Set<string>();
  #dropped = 0;
  #onIdle: (() => void)[] = [];

  constructor(options: EventWriterOptions) {
    this.#options = options;
    this.#maxQueued = options.maxQueued ?? 1000;
    this.#inFlight = options.inFlight ?? 4;
  }

  add(write: Write): void {
    if (this.#stop.signal.aborted) return;
    const key = `${write.event.metadata.namespace}/${write.event.metadata.name}`;
    const waiting = this.#waiting.get(key);
    if (!waiting && this.#waiting.size >= this.#maxQueued) {
      this.#drop(write.event);
      return;
    }
    this.#waiting.set(key, waiting?.type === "create" ? { type: "create", event: write.event } : write);
    this.#pump();
  }

  /** Resolves once everything added so far is written or given up, at the latest after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void> {
    if (this.#idle()) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(timeoutMs, resolve);
      this.#onIdle.push(() => {
        cancel();
        resolve();
      });
    });
  }

  /** Drops what waits, breaks off what is being written. Idempotent. */
  stop(): void {
    this.#waiting.clear();
    this.#stop.abort(new Error("the event writer was stopped"));
    this.#tellIdle();
  }

  #pump(): void {
    if (this.#busy.size >= this.#inFlight) return;
    for (const [key, write] of this.#waiting) {
      if (this.#busy.has(key)) continue;
      this.#waiting.delete(key);
      this.#busy.add(key);
      void this.#write(write).finally(() => {
        this.#busy.delete(key);
        this.#pump();
        this.#tellIdle();
      });
      if (this.#busy.size >= this.#inFlight) return;
    }
  }

  /** Never rejects. */
  async #write({ type, event }: Write): Promise<void> {
    const { clock, log, backoff = { initialMs: 500, maxMs: 10_000 } } = this.#options;
    const { signal } = this.#stop;
    const send = () => (type === "create" ? this.#create(event, signal) : this.#patch(event, signal));
    try {
      await retry(send, { clock, signal, tries, ...backoff });
      this.#reportDropped();
    } catch (error) {
      if (signal.aborted) return;
      const what = { event: describe(event), error: String(error) };
      // a namespace on its way out takes no new objects, and nobody would read them
      if (hasCause(error, "NamespaceTerminating")) log.debug(what, "an event came too late for its namespace");
      else log.warn(what, "an event can't be written and is given up");
    }
  }

  async #create(event: Event, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.client.create(paths.events(event.metadata.namespace), event, { signal });
    } catch (error) {
      // an earlier try whose answer was lost
      if (!isAlreadyExists(error)) throw error;
    }
  }

  async #patch(event: Event, signal: AbortSignal): Promise<void> {
    const { count, lastTimestamp, message, metadata } = event;
    try {
      const path = paths.events(metadata.namespace, metadata.name);
      await this.#options.client.patch(path, { count, lastTimestamp, message }, "strategic", { signal });
    } catch (error) {
      // expired: Events live for an hour
      if (!isNotFound(error)) throw error;
      await this.#create(event, signal);
    }
  }

  #drop(event: Event): void {
    if (this.#dropped++ > 0) return;
    this.#options.log.warn(
      { event: describe(event) },
      "too many events wait to be written; this one and more are dropped",
    );
  }

  #reportDropped(): void {
    if (this.#dropped === 0) return;
    this.#options.log.warn({ dropped: this.#dropped }, "events are written again; some were dropped");
    this.#dropped = 0;
  }

  #idle(): boolean {
    return this.#stop.signal.aborted || (this.#waiting.size === 0 && this.#busy.size === 0);
  }

  #tellIdle(): void {
    if (!this.#idle()) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}

function describe({ involvedObject: o, type, reason, message }: Event): string {
  return `${type} ${reason} about ${o.kind} ${o.namespace ?? ""}/${o.name}: ${message}`;
}

function hasCause(error: unknown, reason: string): boolean {
  return error instanceof ApiError && error.details?.causes?.some((cause) => cause.reason === reason) === true;
}
