import { type Clock, sleep } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { onAbort } from "./abort.ts";
import { ApiError, isGone, statusToError } from "./apiError.ts";
import type { KubeClient } from "./client.ts";
import type { Query } from "./paths.ts";
import { type BackoffOptions, backoffMs } from "./retry.ts";
import type { KubeObject } from "./types.ts";

export type ChangeType = "ADDED" | "MODIFIED" | "DELETED";

interface FollowOptions<T extends KubeObject> {
  client: KubeClient;
  /** A collection. */
  path: string;
  /** Selectors. */
  query?: Query;
  /** One change. The same object may be told twice. Must not throw. */
  onEvent(type: ChangeType, object: T): void;
  log: Logger;
  clock: Clock;
  /** The only end. */
  signal: AbortSignal;
  /** @default 200 ms to 30 s */
  backoff?: BackoffOptions;
  /** How long the server is asked to keep a watch open. @default a random time of 300 to 600 */
  watchSeconds?: number;
}

export interface ReflectOptions<T extends KubeObject> extends FollowOptions<T> {
  /** The whole collection, first and after each relist: what is not among the items is gone. Must not throw. */
  onSync(items: T[]): void;
}

export interface FollowObjectOptions<T extends KubeObject> extends Omit<FollowOptions<T>, "query"> {
  name: string;
  /** Events may be missing: the object may have changed, appeared or vanished. Must not throw. */
  onGap(): void;
}

const pageSize = 500;
/** A watch that outlives the time which the server was asked for by this is dead, and cut. */
const overtimeMs = 30_000;
/** A watch that ends sooner and brought nothing counts as a failure, or it would be asked for again in a busy loop. */
const steadyMs = 5_000;

/**
 * Follows a collection: lists it, then watches from there, resumes where a watch ended, and lists again when the server
 * has forgotten that point (410) or sends an ERROR event. Failures are waited for with back-off, endlessly.
 * Resolves once `signal` is aborted; never rejects.
 */
export function reflect<T extends KubeObject>(options: ReflectOptions<T>): Promise<void> {
  return new Follower(options, (version) => list(options, version)).run();
}

/**
 * Follows one object, with nothing but a watch by its name: that begins with the object as ADDED, if it exists. Where
 * there are hundreds of objects, a list before each watch would be half of all requests. As `reflect` otherwise.
 */
export function followObject<T extends KubeObject>(options: FollowObjectOptions<T>): Promise<void> {
  let first = true;
  const query = { fieldSelector: `metadata.name=${escapeSelector(options.name)}` };
  return new Follower({ ...options, query }, async () => {
    if (!first) options.onGap();
    first = false;
    return "0";
  }).run();
}

/** As apimachinery's fields.EscapeValue. */
function escapeSelector(value: string): string {
  return value.replace(/[\\,=]/g, "\\$&");
}

/**
 * Gives the whole collection to `onSync`, and the version to watch from. Without a version the answer is what is true now,
 * at the price of a read in etcd: a node ends the pods that are not in it, so the lagging cache of an API server must
 * not answer. Later lists need only be no older than what is known.
 */
async function list<T extends KubeObject>(options: ReflectOptions<T>, version: string | undefined): Promise<string> {
  const { client, path, signal } = options;
  const items: T[] = [];
  let part: Query = version === undefined ? { limit: pageSize } : { resourceVersion: version };
  for (;;) {
    const page = await client.list<T>(path, { query: { ...options.query, ...part }, signal });
    for (const item of page.items) items.push(item);
    const next = page.metadata?.continue;
    if (!next) {
      options.onSync(items);
      return page.metadata?.resourceVersion ?? "0";
    }
    part = { limit: pageSize, continue: next };
  }
}

class Follower<T extends KubeObject> {
  readonly #options: FollowOptions<T>;
  readonly #begin: (version: string | undefined) => Promise<string>;
  /** What is known is of this version; undefined: nothing is, or the server has forgotten that version. */
  #version: string | undefined;
  #begun = false;
  /** In a row, without a watch between them that worked. */
  #failures = 0;

  /** @param begin tells what is there, and gives the version to watch from; it is told what is known already */
  constructor(options: FollowOptions<T>, begin: (version: string | undefined) => Promise<string>) {
    this.#options = options;
    this.#begin = begin;
  }

  async run(): Promise<void> {
    while (!this.#options.signal.aborted) await this.#step();
  }

  /** One beginning where needed, one watch, and the wait after a failure. */
  async #step(): Promise<void> {
    const { log, path, signal } = this.#options;
    try {
      if (!this.#begun) this.#version = await this.#begin(this.#version);
      this.#begun = true;
      await this.#watch();
    } catch (error) {
      if (signal.aborted) return;
      this.#failures++;
      if (error instanceof RelistError) this.#begun = false;
      const cause = error instanceof RelistError ? error.cause : error;
      if (isForgotten(cause)) {
        this.#begun = false;
        this.#version = undefined;
      }
      const delayMs =
        isGone(cause) && this.#failures === 1 ? 0 : backoffMs(this.#failures, cause, this.#options.backoff);
      const what = { path, failures: this.#failures, delayMs: Math.round(delayMs), error: String(cause) };
      log[isGone(cause) ? "info" : "warn"](what, this.#begun ? "a watch failed and is resumed" : "starting over");
      await sleep(this.#options.clock, delayMs, signal).catch(() => {});
    }
  }

  async #watch(): Promise<void> {
    const { client, clock, path, signal, watchSeconds = 300 + Math.floor(Math.random() * 301) } = this.#options;
    const cut = new AbortController();
    const ignoreAbort = onAbort(signal, () => cut.abort(signal.reason));
    const cancelTimer = clock.after(watchSeconds * 1000 + overtimeMs, () =>
      cut.abort(new Error("the watch was silent for longer than its time")),
    );
    const startedAt = clock.now();
    let useful = false;
    try {
      const query = {
        ...this.#options.query,
        resourceVersion: this.#version,
        allowWatchBookmarks: true,
        timeoutSeconds: watchSeconds,
      };
      for await (const event of client.watch<T>(path, { query, signal: cut.signal })) {
        if (event.type === "ERROR") throw new RelistError(statusToError({ method: "WATCH", path }, event.object));
        useful = true;
        this.#version = event.object.metadata?.resourceVersion ?? this.#version;
        if (event.type !== "BOOKMARK" && !signal.aborted) this.#options.onEvent(event.type, event.object);
      }
      if (!useful && clock.now() - startedAt < steadyMs) throw new Error("the server ended the watch at once");
    } finally {
      if (useful || clock.now() - startedAt >= steadyMs) this.#failures = 0;
      cancelTimer();
      ignoreAbort();
    }
  }
}

/** An ERROR event: what came before it may be incomplete. */
class RelistError extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

/** 410: too old, compacted. Timeout: an API server whose cache has not yet reached the version asked for. */
function isForgotten(error: unknown): boolean {
  return isGone(error) || (error instanceof ApiError && error.code === 504 && error.reason === "Timeout");
}
