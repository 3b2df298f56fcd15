import { HostletError } from "../errors.ts";
import type { Pod, PodRef } from "../kube/types.ts";
import { creationRetryMs } from "./decide/backoff.ts";
import type { KubeletDeps, PreparedPod } from "./deps.ts";
import type { ObjectReference } from "./env/references.ts";
import type { PodEvents } from "./podEvents.ts";
import type { PodPaths } from "./podFiles.ts";
import { referencedObjects } from "./references.ts";

export interface PodSetupOptions {
  deps: KubeletDeps;
  ref: PodRef;
  paths: PodPaths;
  events: PodEvents;
  /** Aborts when the pod ends: nothing more has to be prepared then. */
  signal: AbortSignal;
  /** An object that the pod names may have changed. */
  objectChanged(): void;
}

/** What has to be there before a pod's containers start: its volumes, and word of the objects that they are made of. */
export class PodSetup {
  readonly #options: PodSetupOptions;
  readonly #watched = new Set<string>();
  #state: "none" | "running" | "done" = "none";
  #tries = 0;
  /** Set-ups and refreshes under way. */
  #writers = 0;
  #prepared: PreparedPod | undefined;
  /** When a set-up that failed is tried again. ms since the epoch */
  retryAt = 0;
  /** Why the pod has to wait. */
  problem: { reason: string; message: string } | undefined;

  constructor(options: PodSetupOptions) {
    this.#options = options;
  }

  /** The clock was set back. */
  setBack(ms: number): void {
    this.retryAt -= ms;
  }

  get ready(): boolean {
    return this.#state === "done";
  }

  /** @throws {TypeError} before it is ready */
  get prepared(): PreparedPod {
    if (!this.#prepared) throw new TypeError("the pod's volumes are not ready");
    return this.#prepared;
  }

  /** Nothing writes into the pod's directory, which may be removed: a writer would make it again. */
  get idle(): boolean {
    return this.#writers === 0;
  }

  /** Nothing is under way, and it is time. */
  isDue(now: number): boolean {
    return this.#state === "none" && now >= this.retryAt;
  }

  /** When there is something to do though nothing happens; undefined: never, or while it is under way. */
  get nextAt(): number | undefined {
    if (this.#options.signal.aborted || this.#writers > 0) return undefined;
    return this.#state === "none" ? this.retryAt : this.#prepared?.refreshAt;
  }

  /**
   * Lays the volumes. What is missing is waited for.
   * @throws {HostletError} PodInvalid: only another pod would help
   */
  async begin(pod: Pod): Promise<void> {
    const { deps, paths, signal, events } = this.#options;
    this.#state = "running";
    this.#writers++;
    try {
      this.#prepared = await deps.preparer.pod(pod, paths, signal);
      this.#state = "done";
      this.#tries = 0;
      this.problem = undefined;
      for (const message of this.#prepared.warnings) events.emit("Warning", "VolumeWarning", message);
    } catch (error) {
      this.#state = "none";
      if (signal.aborted) return;
      if (error instanceof HostletError && error.code === "PodInvalid") throw error;
      this.failed(pod, error, "FailedMount");
    } finally {
      this.#writers--;
    }
  }

  /** The pod has to wait, and is tried again: later, or as soon as an object that it names changes. */
  failed(pod: Pod, error: unknown, eventReason: string): void {
    const message = messageOf(error);
    this.retryAt = this.#options.deps.clock.now() + creationRetryMs(++this.#tries);
    this.problem = { reason: "ContainerCreating", message };
    this.#options.events.emit("Warning", eventReason, message);
    this.watch(referencedObjects(pod));
  }

  /** Brings the volumes up to date. */
  async refresh(pod: Pod): Promise<void> {
    const { signal, events } = this.#options;
    if (!this.#prepared || signal.aborted) return;
    this.#writers++;
    try {
      const warnings = await this.#prepared.refresh(pod, signal);
      for (const message of warnings) events.emit("Warning", "FailedMount", message);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#writers--;
    }
  }

  /** Tells of changes of these objects from now on; of each once. */
  watch(refs: ObjectReference[]): void {
    const { deps, ref, signal, objectChanged } = this.#options;
    if (signal.aborted) return;
    for (const { kind, name } of refs) {
      if (this.#watched.has(`${kind}/${name}`)) continue;
      this.#watched.add(`${kind}/${name}`);
      deps.objects.watch(kind, ref.namespace, name, objectChanged, signal);
    }
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
