import { constants } from "node:os";
import { Readable, Writable } from "node:stream";
import { type Clock, sleep } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import { onAbort } from "../../kube/abort.ts";
import type { ContainerSpec } from "../contract.ts";
import type { AttachRequest, ContainerStreams, ExecRequest } from "../streams.ts";
import { AttachStreams } from "./attach.ts";
import { readAttemptRecord } from "./attemptRecord.ts";
import { explainUnpassable } from "./environment.ts";
import { ExecStreams, encodeExecRequest } from "./exec.ts";
import type { CannotRun, Launcher } from "./launchers/contract.ts";
import type { Monitor } from "./monitor.ts";
import { readPayload } from "./payload.ts";
import { openShimStreams, type ShimConnection } from "./shimStreams.ts";
import { processOptions } from "./spawn.ts";

const { EINVAL, EPIPE, ESRCH } = constants.errno;

/** Of a container: a shim has 64 connections, and some are for its signals. */
const mostOpening = 16;
const mostAttached = 32;
const retryMs = 50;
const openDeadline = 30_000;

/** Opens the streams into containers that run, and ends those that are open with the agent. */
export class StreamKeeper {
  readonly #clock: Clock;
  readonly #launcher: Launcher;
  readonly #open = new Set<ContainerStreams>();
  readonly #opening = new Map<string, Places>();
  readonly #attached = new Map<string, number>();

  constructor(launcher: Launcher, clock: Clock) {
    this.#launcher = launcher;
    this.#clock = clock;
  }

  /** @param name of the container, for messages; @param monitor undefined: there is no such one */
  async exec(
    name: string,
    monitor: Monitor | undefined,
    request: ExecRequest,
    signal: AbortSignal,
  ): Promise<ContainerStreams> {
    const { spec, running } = enterable(name, monitor);
    const payload = readPayload(running.paths.dir);
    if (!payload) throw notRunning(name);
    const entered = this.#launcher.enter(spec, request.argv, payload);
    if ("exitCode" in entered) return cannotRun(entered, request);
    const unpassable = explainUnpassable(entered.argv, {});
    if (unpassable) return cannotRun({ exitCode: 126, message: unpassable }, request);
    const options = processOptions(spec, entered);
    if (request.stdin) options.push("--stdin");
    if (request.tty) options.push("--tty");
    const connection = await this.#connect(name, running, encodeExecRequest(options, entered), signal);
    return this.#keep(new ExecStreams(connection, request), signal);
  }

  async attach(
    name: string,
    monitor: Monitor | undefined,
    request: AttachRequest,
    signal: AbortSignal,
  ): Promise<ContainerStreams> {
    const { spec, running } = enterable(name, monitor);
    const key = running.paths.name;
    if (request.stdin && !spec.stdin) {
      throw new HostletError("NotSupported", `container ${name} has no standard input: set stdin: true in its pod`);
    }
    const attached = this.#attached.get(key) ?? 0;
    if (attached >= mostAttached) {
      throw new HostletError("NotSupported", `${attached} clients are attached to container ${name}: end one of them`);
    }
    this.#attached.set(key, attached + 1);
    const letGo = () => {
      const left = (this.#attached.get(key) ?? 1) - 1;
      if (left > 0) this.#attached.set(key, left);
      else this.#attached.delete(key);
    };
    try {
      const line = request.stdin ? "attach stdin\n" : "attach\n";
      const connection = await this.#connect(name, running, line, signal);
      const { tty, stdinOnce = false } = spec;
      const streams = this.#keep(new AttachStreams(connection, { stdin: request.stdin, tty, stdinOnce }), signal);
      void streams.over.then(letGo);
      return streams;
    } catch (error) {
      letGo();
      throw error;
    }
  }

  /** Ends them all; containers run on. */
  stop(): void {
    for (const streams of this.#open) streams.close();
  }

  async #connect(name: string, monitor: Monitor, request: Uint8Array | string, signal: AbortSignal) {
    const key = monitor.paths.name;
    const places = this.#opening.get(key) ?? new Places(mostOpening);
    this.#opening.set(key, places);
    await places.enter();
    try {
      return await this.#ask(name, monitor, request, signal);
    } finally {
      if (places.leave() === 0) this.#opening.delete(key);
    }
  }

  async #ask(
    name: string,
    monitor: Monitor,
    request: Uint8Array | string,
    signal: AbortSignal,
  ): Promise<ShimConnection> {
    const deadline = this.#clock.now() + openDeadline;
    for (;;) {
      const answer = await openShimStreams(monitor.paths.dir, request, this.#clock, signal);
      signal.throwIfAborted();
      if (typeof answer === "object") return answer;
      if (answer === EINVAL) throw tooOld(name);
      if (answer === EPIPE) throw new HostletError("NotSupported", `the standard input of container ${name} is closed`);
      if (answer === ESRCH || monitor.over) throw notRunning(name);
      if (answer !== undefined || this.#clock.now() > deadline) {
        const why = answer === undefined ? "gave no answer" : `refused (errno ${answer})`;
        throw new Error(`the shim of container ${name} ${why}`);
      }
      await sleep(this.#clock, retryMs, signal); // its connections are taken, or it is about to end
    }
  }

  #keep<T extends ExecStreams | AttachStreams>(streams: T, signal: AbortSignal): T {
    this.#open.add(streams);
    const forget = onAbort(signal, () => streams.close());
    const over = () => {
      forget();
      this.#open.delete(streams);
    };
    void streams.over.then(over);
    return streams;
  }
}

function enterable(name: string, monitor: Monitor | undefined): { spec: ContainerSpec; running: Monitor } {
  if (!monitor || monitor.exit || monitor.container.startedAt === undefined) throw notRunning(name);
  const spec = readAttemptRecord(monitor.paths.dir)?.spec;
  if (!spec) throw tooOld(name);
  return { spec, running: monitor };
}

function notRunning(name: string): HostletError {
  return new HostletError("NotFound", `container ${name} is not running`);
}

function tooOld(name: string): HostletError {
  const what = `container ${name} was started by an earlier version of hostlet, which knew no exec and attach`;
  return new HostletError("NotSupported", `${what}: it works from the container's next start on`);
}

/** A command that can't be run has ended as a shell would end it. */
function cannotRun({ exitCode, message }: CannotRun, { stdin, tty }: ExecRequest): ContainerStreams {
  return {
    ...(stdin && { stdin: new Writable({ write: (_chunk, _encoding, done) => done() }) }),
    stdout: Readable.from([]),
    ...(!tty && { stderr: Readable.from([]) }),
    ended: Promise.resolve({ exitCode, message }),
    resize() {},
    close() {},
  };
}

/** Lets so many in at a time; the others wait in order. */
class Places {
  #free: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  async enter(): Promise<void> {
    this.#inside++;
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** How many are in or wait. */
  leave(): number {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
    return --this.#inside;
  }
}
