import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Clock, sleep } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import type { LogOptions } from "../../kube/logOptions.ts";
import type {
  ContainerExit,
  ContainerID,
  ContainerRuntime,
  ContainerRuntimeCallbacks,
  ContainerSpec,
  RuntimeContainer,
} from "../../runtimes/contract.ts";
import type { Script } from "./script.ts";

/** Where the preparer puts a container's script, for want of another way. */
export const scriptVariable = "HOSTLET_DUMMY_SCRIPT";

interface Dummy {
  container: RuntimeContainer;
  script: Script;
}

/**
 * Containers that are only said to run: a start is a file, an end follows from the clock. What is written here, another agent finds
 * again and goes on with.
 */
export class DummyRuntime implements ContainerRuntime {
  readonly name = "dummy";
  readonly version = "1";
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #dummies = new Map<string, Dummy>();
  readonly #timers = new Map<string, () => void>();
  readonly #stop = new AbortController();
  #callbacks: ContainerRuntimeCallbacks | undefined;

  constructor(stateDir: string, clock: Clock) {
    this.#dir = join(stateDir, "dummy");
    this.#clock = clock;
  }

  async recover(callbacks: ContainerRuntimeCallbacks): Promise<RuntimeContainer[]> {
    this.#callbacks = callbacks;
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#dir)) {
      if (!name.endsWith(".json")) continue;
      const dummy = JSON.parse(readFileSync(join(this.#dir, name), "utf8")) as Dummy;
      this.#dummies.set(keyOf(dummy.container.id), dummy);
      this.#follow(dummy);
    }
    return [...this.#dummies.values()].map(({ container }) => container);
  }

  async start(spec: ContainerSpec): Promise<RuntimeContainer> {
    const { id, restartCount } = spec;
    const script = JSON.parse(spec.env[scriptVariable] ?? "") as Script;
    if (script.startDelayMs > 0) await sleep(this.#clock, script.startDelayMs, this.#stop.signal);
    if (script.startError !== undefined) {
      throw new HostletError("CreateContainerFailed", script.message ?? "the dummy was told to fail", {
        reason: script.startError,
      });
    }
    const containerID = `dummy://${id.podUID}/${id.container}/${id.attempt}`;
    const dummy: Dummy = { script, container: { id, restartCount, containerID, startedAt: this.#clock.now() } };
    this.#dummies.set(keyOf(id), dummy);
    this.#write(dummy);
    this.#follow(dummy);
    return dummy.container;
  }

  async signal(id: ContainerID, signal: number): Promise<void> {
    if (signal === 15 && this.#dummies.get(keyOf(id))?.script.ignoresTerm) return;
    this.#end(id, { exitCode: 128 + signal, signal });
  }

  async kill(id: ContainerID): Promise<void> {
    this.#end(id, { exitCode: 137, signal: 9 });
  }

  async remove(id: ContainerID): Promise<void> {
    this.#dummies.delete(keyOf(id));
    rmSync(this.#file(id), { force: true });
  }

  async *logs(
    id: ContainerID,
    { follow, tailLines, limitBytes }: LogOptions,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    const dummy = this.#dummies.get(keyOf(id));
    if (!dummy) throw new HostletError("NotFound", `container ${id.container} has no such log`);
    const lines = dummy.script.log.split(/(?<=\n)/);
    const text = tailLines === undefined ? lines : tailLines === 0 ? [] : lines.slice(-tailLines);
    yield Buffer.from(text.join("")).subarray(0, limitBytes);
    while (follow && !dummy.container.exit && !signal.aborted) {
      await sleep(this.#clock, 100, signal).catch(() => {});
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#callbacks = undefined;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  #follow({ container, script }: Dummy): void {
    const { id, startedAt = 0 } = container;
    if (container.exit || script.runForMs === undefined) return;
    const { exitCode, reason, message } = script;
    const end = { exitCode, ...(reason !== undefined && { reason }), ...(message !== undefined && { message }) };
    const left = Math.max(0, startedAt + script.runForMs - this.#clock.now());
    this.#timers.set(
      keyOf(id),
      this.#clock.after(left, () => this.#end(id, end)),
    );
  }

  #end(id: ContainerID, end: Pick<ContainerExit, "exitCode"> & Partial<ContainerExit>): void {
    const dummy = this.#dummies.get(keyOf(id));
    if (!dummy || dummy.container.exit) return;
    this.#timers.get(keyOf(id))?.();
    this.#timers.delete(keyOf(id));
    const { startedAt } = dummy.container;
    const exit: ContainerExit = {
      reason: end.exitCode === 0 ? "Completed" : "Error",
      ...end,
      ...(startedAt !== undefined && { startedAt }),
      finishedAt: this.#clock.now(),
    };
    const container = { ...dummy.container, exit };
    dummy.container = container;
    this.#write(dummy);
    setImmediate(() => this.#callbacks?.exited(container));
  }

  #file({ podUID, container, attempt }: ContainerID): string {
    return join(this.#dir, `${podUID}.${container}.${attempt}.json`);
  }

  #write(dummy: Dummy): void {
    const file = this.#file(dummy.container.id);
    writeFileSync(`${file}.new`, JSON.stringify(dummy), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}

function keyOf({ podUID, container, attempt }: ContainerID): string {
  return `${podUID}/${container}/${attempt}`;
}
