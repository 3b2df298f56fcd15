import { existsSync } from "node:fs";
import type { Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { ContainerExit, ContainerID, RuntimeContainer } from "../contract.ts";
import { judgeShim, readClaim, type ShimState, takeClaim } from "./claim.ts";
import { askShim, connectToShim, listenToShim, type ShimNews } from "./control.ts";
import { type ExitRecord, statusUnknown, toContainerExit } from "./exits.ts";
import { type AttemptPaths, readExitFile, writeExitFile } from "./layout.ts";
import { readPayload } from "./payload.ts";
import { killTree, type YieldingQueue } from "./spawn.ts";
import type { SpawnListener } from "./spawner.ts";

export interface MonitorContext {
  /** The runtime's name, for container ids. */
  runtime: string;
  shim: string;
  clock: Clock;
  log: Logger;
  queue: YieldingQueue;
  /** What else is known of an end. */
  explain(id: ContainerID, exit: ContainerExit): ContainerExit;
  /** The container has ended; called once, in a turn of its own, never after `close()`. */
  ended(monitor: Monitor): void;
}

/** How long a shim may take until its payload runs, before the start is taken from it. */
const startDeadline = 10_000;
/** How long recovery waits for word from a shim that had not started its payload when the last agent ended. */
const resumeDeadline = 5_000;
const firstRetry = 10;
const lastRetry = 2_000;

/**
 * Follows one attempt from its start, or its recovery, to its end. The shim tells that something happened, by way of
 * the spawner that started it or on a connection of its own; what happened is in the exit file.
 */
export class Monitor implements SpawnListener {
  readonly paths: AttemptPaths;
  /**
   * Runs or has ended.
   * @throws {HostletError} CreateContainerFailed: it never ran, and never will; or the error of spawn or execve: there is no shim
   */
  readonly ready: Promise<void>;
  readonly #context: MonitorContext;
  readonly #log: Logger;
  readonly #restartCount: number;
  #resolveReady!: () => void;
  #rejectReady!: (error: Error) => void;
  #cancelDeadline: () => void = () => {};
  #closed = false;
  /** To the shim of an earlier agent, or of a spawner that is gone. */
  #connection: Socket | undefined;
  readonly #followers = new Set<() => void>();
  #startedAt: number | undefined;
  #exit: ContainerExit | undefined;

  constructor(context: MonitorContext, paths: AttemptPaths, restartCount: number) {
    this.paths = paths;
    this.#context = context;
    this.#log = context.log.child({ container: paths.name });
    this.#restartCount = restartCount;
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => {}); // whoever needs it awaits it
  }

  get container(): RuntimeContainer {
    return {
      id: this.paths.id,
      restartCount: this.#restartCount,
      containerID: `${this.#context.runtime}://${this.paths.name}`,
      ...(this.#startedAt === undefined ? {} : { startedAt: this.#startedAt }),
      ...(this.#exit === undefined ? {} : { exit: this.#exit }),
    };
  }

  get exit(): ContainerExit | undefined {
    return this.#exit;
  }

  /** Its shim is about to be spawned, and the spawner tells of it. */
  expect(): void {
    this.#cancelDeadline = this.#context.clock.after(startDeadline, () => this.#startIsLate());
  }

  /** Follows the shim of an earlier agent, or finds out how its payload ended. */
  resume(): void {
    this.#startedAt = readPayload(this.paths.dir)?.started;
    this.#cancelDeadline = this.#context.clock.after(resumeDeadline, () => this.#resolveReady());
    void this.#settle();
  }

  /** The container has ended so. */
  finish(record: ExitRecord): void {
    if (this.#exit) return;
    this.#exit = this.#context.explain(this.paths.id, toContainerExit(record));
    this.#startedAt ??= record.started;
    this.#cancelDeadline();
    this.#resolveReady();
    this.#release();
    setImmediate(() => {
      if (!this.#closed) this.#context.ended(this);
    });
  }

  /** Says a line of the control protocol to the shim; returns when it was answered, or when there is nobody to say it to. */
  async request(line: string): Promise<void> {
    for (let retry = firstRetry; this.#open; retry = Math.min(2 * retry, lastRetry)) {
      const answer = await askShim(this.paths.dir, line, this.#context.clock);
      if (answer === undefined) {
        await this.#pause(retry); // it is about to listen, or to end
        continue;
      }
      if (answer !== "ok") this.#log.warn({ request: line, answer }, "the shim refused");
      return;
    }
  }

  /** Lets go; the container runs on. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelDeadline();
    this.#rejectReady(this.#neverRan("the agent is stopping"));
    this.#release();
  }

  /** It has ended, or was let go: nobody who follows its log has more to wait for. */
  get over(): boolean {
    return !this.#open;
  }

  /** Calls back once when it is over; the returned function cancels. */
  onOver(callback: () => void): () => void {
    this.#followers.add(callback);
    return () => this.#followers.delete(callback);
  }

  get #open(): boolean {
    return !this.#exit && !this.#closed;
  }

  /** It is over. */
  #release(): void {
    this.#connection?.destroy();
    for (const callback of this.#followers) callback();
  }

  /** Returns after a time, or when it is over. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.over) return resolve();
      const done = () => {
        cancel();
        forget();
        resolve();
      };
      const forget = this.onOver(done);
      const cancel = this.#context.clock.after(ms, done);
    });
  }

  #listen(socket: Socket): void {
    this.#connection = socket;
    listenToShim(socket, { news: (news) => this.news(news), closed: () => this.gone() });
  }

  failed(error: Error): void {
    this.#cancelDeadline();
    this.#rejectReady(error);
  }

  /** Nobody tells of the shim any more. */
  gone(): void {
    this.#connection = undefined;
    if (this.#open) void this.#settle();
  }

  news(news: ShimNews): void {
    if (!this.#open) return;
    switch (news) {
      case "started":
        this.#startedAt ??= readPayload(this.paths.dir)?.started ?? this.#context.clock.now();
        this.#cancelDeadline();
        this.#resolveReady();
        return;
      case "lost":
        // Whoever has the claim decides. If that is another shim, its container is not this one.
        this.#fail("another process had claimed its start");
        return;
      case "exited": {
        const exit = this.#readExit();
        if (exit) this.finish(exit); // written before it was said; else the end of the connection tells
      }
    }
  }

  #readExit(): ExitRecord | undefined {
    const exit = readExitFile(this.paths);
    return exit === "unreadable" ? this.#unknown("the record of its end can't be read") : exit;
  }

  #unknown(why: string): ExitRecord {
    return statusUnknown(`how the container ended is not known: ${why}`, this.#context.clock.now(), this.#startedAt);
  }

  async #record(record: ExitRecord): Promise<void> {
    try {
      await writeExitFile(this.paths, record);
    } catch (error) {
      this.#log.error({ err: error }, "the end of a container could not be written down");
    }
  }

  #neverRan(why: string): HostletError {
    return new HostletError("CreateContainerFailed", `container ${this.paths.id.container} was not started: ${why}`);
  }

  #fail(why: string): void {
    this.#rejectReady(this.#neverRan(why));
    this.close();
  }

  #startIsLate(): void {
    try {
      if (!takeClaim(this.paths.dir, this.#context.clock.now())) {
        this.#log.warn("the shim has claimed the start, but has not started the container yet");
        return;
      }
    } catch (error) {
      this.#log.error({ err: error }, "a start that is late could not be taken back");
      return;
    }
    this.#fail(`the shim did not come up within ${startDeadline / 1000} seconds`);
  }

  /** Until it is known how it stands: connected again, or ended. */
  async #settle(): Promise<void> {
    for (let retry = firstRetry; this.#open; retry = Math.min(2 * retry, lastRetry)) {
      try {
        if (await this.#settleOnce()) return;
      } catch (error) {
        this.#log.warn({ err: error }, "the state of a container could not be read; trying again");
      }
      await this.#pause(retry);
    }
  }

  async #settleOnce(): Promise<boolean> {
    const claim = readClaim(this.paths.dir);
    if (!claim) return this.#settleUnclaimed();
    if (claim.by === "agent") return this.#settled(() => this.#fail("its start was taken back"));
    const state = judgeShim(claim);
    // Looked at after the shim: one that is gone has written all that it ever will.
    const exit = this.#readExit();
    if (exit) return this.#settled(() => this.finish(exit));
    if (state === "alive" || state === "unseen") {
      const socket = await connectToShim(this.paths.dir).catch(() => undefined);
      if (socket) {
        if (!this.#open) socket.destroy();
        else this.#listen(socket);
        if (this.#startedAt !== undefined) this.#resolveReady();
        return true;
      }
      if (state === "alive") return false; // about to listen, or about to end
    }
    const record = await this.#endOrphan(state, claim.host);
    await this.#record(record);
    if (this.#open) this.finish(record);
    return true;
  }

  #settled(act: () => void): true {
    act();
    return true;
  }

  #settleUnclaimed(): boolean {
    if (!existsSync(this.paths.dir)) {
      return this.#settled(() => this.finish(this.#unknown(`the directory ${this.paths.dir} was removed`)));
    }
    if (!takeClaim(this.paths.dir, this.#context.clock.now())) return false;
    return this.#settled(() => this.#fail("its shim ended before it had claimed the start (out of memory?)"));
  }

  /** The shim is gone without a word: what it left is ended first, then its end is made up. */
  async #endOrphan(state: ShimState, host: string): Promise<ExitRecord> {
    if (state === "otherBoot") return this.#unknown(`the host (${host}) was restarted`);
    const payload = readPayload(this.paths.dir);
    if (!payload) return this.#unknown("its shim was killed before it started it");
    const killed = await this.#context.queue.run(() => killTree(this.#context.shim, this.paths.id, payload));
    this.#startedAt ??= payload.started;
    return this.#unknown(`its shim was killed; ${killed} of its processes were found and killed`);
  }
}
