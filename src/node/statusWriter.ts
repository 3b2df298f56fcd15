import type { Clock } from "../clock.ts";
import { ApiError, isNotFound, NetworkError } from "../kube/apiError.ts";
import type { KubeClient } from "../kube/client.ts";
import { paths } from "../kube/paths.ts";
import type { PodUpdate } from "../kube/podUpdate.ts";
import { backoffMs } from "../kube/retry.ts";
import type { Pod, PodRef, PodStatus } from "../kube/types.ts";
import type { Logger } from "../telemetry/log.ts";
import { serverAway } from "./serverAway.ts";
import { statusPatch } from "./statusPatch.ts";

interface Entry {
  pod: PodRef;
  status: PodStatus;
  gone: boolean;
  annotations?: Record<string, string> | undefined;
  /** The status that the API server has from us. A Provider reports a new object only where something changed. */
  written: PodStatus | undefined;
  /** The resourceVersion of the object that holds it. */
  version: string | undefined;
  writing: boolean;
  failures: number;
}

/** resourceVersions of one kind are compared as numbers (Kubernetes 1.35's documentation; true of etcd's ever since). */
function isNewer(version: string | undefined, than: string | undefined): boolean {
  if (!/^\d+$/.test(version ?? "") || !/^\d+$/.test(than ?? "")) return false;
  return BigInt(version!) > BigInt(than!);
}

function isOverwritten(ours: PodStatus, theirs: PodStatus | undefined): boolean {
  const now = new Map((theirs?.conditions ?? []).map((c) => [c.type, c.status]));
  return (ours.conditions ?? []).some(({ type, status }) => now.get(type) !== status);
}

export interface StatusWriterOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  /** Requests at a time. @default 8 */
  concurrency?: number;
}

/**
 * Answers after which trying again can't help: the pod is no longer the one that we mean. A conflict without a word about
 * a UID is only the API server's own race between two writers.
 */
function isObsolete(error: unknown): boolean {
  if (isNotFound(error)) return true;
  return error instanceof ApiError && (error.code === 409 || error.code === 422) && /\buid\b/i.test(error.message);
}

/**
 * The one writer of pod statuses on a node. Of each pod only the latest status counts, it is written when it differs
 * from what was written last, one request a pod at a time, and tried again until it holds. When nothing of a pod is left on
 * the node, its last status is written and then its object removed. While the API server can't be reached, one write at a time is
 * tried; the first that gets an answer lets the others go.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #queue = new Set<Entry>();
  readonly #retrying = new Map<Entry, () => void>();
  readonly #abort = new AbortController();
  #inFlight = 0;
  /** Tries in a row that did not reach the API server. */
  #unreached = 0;
  /** Takes back the next of them. */
  #cancelProbe: (() => void) | undefined;
  #idle: (() => void)[] = [];

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Pods with news that the API server does not have yet. */
  get pending(): number {
    return this.#queue.size + this.#inFlight + this.#retrying.size;
  }

  /** Takes the latest news of a pod. Never older than what was given before. */
  set(update: PodUpdate): void {
    const before = this.#entries.get(update.pod.uid);
    const entry: Entry = before ?? { ...update, written: undefined, version: undefined, writing: false, failures: 0 };
    entry.status = update.status;
    entry.gone = update.gone;
    entry.annotations = update.annotations;
    this.#entries.set(update.pod.uid, entry);
    this.#enqueue(entry);
  }

  /**
   * The pod as it is on the API server. Conditions of ours that somebody else has changed since are written again, as a kubelet
   * does: a node controller says Ready=False of the pods of a node that it did not hear of, and never takes it back.
   */
  reconcile(pod: Pod): void {
    const entry = this.#entries.get(pod.metadata?.uid ?? "");
    if (!entry?.written || entry.writing || entry.status !== entry.written) return;
    if (!isNewer(pod.metadata?.resourceVersion, entry.version) || !isOverwritten(entry.written, pod.status)) return;
    entry.written = undefined;
    this.#enqueue(entry);
  }

  /** The object was removed by somebody else: there is nothing to write to. */
  forget(uid: string): void {
    const entry = this.#entries.get(uid);
    if (!entry) return;
    this.#entries.delete(uid);
    this.#queue.delete(entry);
    this.#cancelRetry(entry);
    this.#settle();
  }

  /** Resolves when everything is written, or at the abort of `signal`. */
  async flush(signal: AbortSignal): Promise<void> {
    while (this.pending > 0 && !signal.aborted && !this.#abort.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#idle.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  stop(): void {
    this.#abort.abort();
    this.#reached();
    for (const cancel of this.#retrying.values()) cancel();
    this.#retrying.clear();
    this.#queue.clear();
    this.#settle();
  }

  #enqueue(entry: Entry): void {
    if (this.#abort.signal.aborted || entry.writing) return;
    this.#cancelRetry(entry);
    this.#queue.add(entry);
    this.#pump();
  }

  #pump(): void {
    if (this.#cancelProbe) return;
    const limit = this.#unreached > 0 ? 1 : (this.#options.concurrency ?? 8);
    for (const entry of this.#queue) {
      if (this.#inFlight >= limit) return;
      this.#queue.delete(entry);
      this.#inFlight++;
      entry.writing = true;
      void this.#write(entry);
    }
  }

  async #write(entry: Entry): Promise<void> {
    const { gone, status } = entry;
    try {
      if (status !== entry.written && status.phase) entry.version = await this.#patch(entry, status);
      entry.written = status;
      if (gone) await this.#delete(entry.pod);
      entry.failures = 0;
      this.#done(entry, gone);
    } catch (error) {
      this.#done(entry, false, error);
    }
  }

  #done(entry: Entry, finished: boolean, error?: unknown): void {
    this.#inFlight--;
    entry.writing = false;
    if (error instanceof NetworkError) this.#probeLater(error);
    else this.#reached();
    // Forgotten meanwhile: there is nothing left to write to.
    const forgotten = this.#entries.get(entry.pod.uid) !== entry;
    if (forgotten || finished || isObsolete(error)) {
      if (!forgotten) this.#entries.delete(entry.pod.uid);
    } else if (error instanceof NetworkError) this.#enqueue(entry);
    else if (error !== undefined && !this.#abort.signal.aborted) this.#retryLater(entry, error);
    else if (entry.status !== entry.written || entry.gone) this.#enqueue(entry);
    this.#pump();
    this.#settle();
  }

  #probeLater(error: NetworkError): void {
    if (this.#cancelProbe || this.#abort.signal.aborted) return;
    const delay = backoffMs(++this.#unreached, error, serverAway);
    this.#options.log.warn({ err: error, delay }, "the API server can't be reached; statuses wait");
    this.#cancelProbe = this.#options.clock.after(delay, () => {
      this.#cancelProbe = undefined;
      this.#pump();
    });
  }

  #reached(): void {
    this.#unreached = 0;
    this.#cancelProbe?.();
    this.#cancelProbe = undefined;
  }

  #retryLater(entry: Entry, error: unknown): void {
    const delay = backoffMs(++entry.failures, error);
    const { namespace, name } = entry.pod;
    this.#options.log.warn({ pod: `${namespace}/${name}`, err: error, delay }, "status not written yet; trying again");
    this.#retrying.set(
      entry,
      this.#options.clock.after(delay, () => this.#enqueue(entry)),
    );
  }

  #cancelRetry(entry: Entry): void {
    this.#retrying.get(entry)?.();
    this.#retrying.delete(entry);
  }

  /** @returns the object's new resourceVersion */
  async #patch({ pod, annotations }: Entry, status: PodStatus): Promise<string | undefined> {
    const path = paths.pods(pod.namespace, pod.name, "status");
    const options = { signal: this.#abort.signal };
    const answer = await this.#options.client.patch<Pod>(
      path,
      statusPatch(pod, status, annotations) as Pod,
      "strategic",
      options,
    );
    return answer.metadata?.resourceVersion;
  }

  async #delete(pod: PodRef): Promise<void> {
    const options = { gracePeriodSeconds: 0, preconditions: { uid: pod.uid } };
    await this.#options.client.delete(paths.pods(pod.namespace, pod.name), options, { signal: this.#abort.signal });
  }

  #settle(): void {
    if (this.pending > 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}
