/**
 * Runs small jobs one after another and lets the event loop turn between them: a burst of pods must not keep the
 * status writer from its work (500 starts in a row blocked it for seconds). A job that waits already is not queued twice.
 */
export class WorkQueue {
  readonly #jobs = new Set<() => void>();
  #scheduled: NodeJS.Immediate | undefined;

  push(job: () => void): void {
    this.#jobs.add(job);
    this.#scheduled ??= setImmediate(() => this.#next());
  }

  /** Forgets what waits. Idempotent. */
  stop(): void {
    this.#jobs.clear();
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
  }

  #next(): void {
    this.#scheduled = undefined;
    const [job] = this.#jobs;
    if (!job) return;
    this.#jobs.delete(job);
    if (this.#jobs.size > 0) this.#scheduled = setImmediate(() => this.#next());
    job();
  }
}
