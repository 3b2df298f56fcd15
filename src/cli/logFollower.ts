import { type Clock, sleep } from "../clock.ts";
import { ApiError, isNotFound } from "../kube/apiError.ts";
import type { KubeClient } from "../kube/client.ts";
import { paths } from "../kube/paths.ts";
import { type Pod, podRef } from "../kube/types.ts";
import { LogLines } from "./logLines.ts";
import { containerStatuses } from "./outcome.ts";

export interface LogFollowerOptions {
  client: KubeClient;
  clock: Clock;
  /** Ends all requests. */
  signal: AbortSignal;
  /** Takes whole lines; the next ones of this container come once it has resolved. */
  emit(pod: Pod, container: string, lines: Buffer[]): Promise<void>;
  /** A log was given up. */
  failed(pod: Pod, container: string, error: unknown): void;
}

interface Followed {
  lines: LogLines;
  /** Starts of the container whose log was asked for. */
  ids: Set<string>;
  reading: Promise<void>;
}

const tries = 5;

/** Follows the logs of all containers of the pods that it is shown, through their restarts. */
export class LogFollower {
  readonly #options: LogFollowerOptions;
  readonly #containers = new Map<string, Followed>();

  constructor(options: LogFollowerOptions) {
    this.#options = options;
  }

  /** The pod as it is now: what began since the last time is followed from here on. */
  see(pod: Pod): void {
    const { uid } = podRef(pod);
    for (const { name, state, lastState, containerID } of containerStatuses(pod)) {
      const key = `${uid}/${name}`;
      const followed = this.#containers.get(key) ?? {
        lines: new LogLines(),
        ids: new Set(),
        reading: Promise.resolve(),
      };
      this.#containers.set(key, followed);
      this.#begin(pod, name, followed, lastState?.terminated?.containerID, true);
      const began = state?.running || state?.terminated?.startedAt;
      this.#begin(pod, name, followed, began ? (containerID ?? state.terminated?.containerID) : undefined, false);
    }
  }

  /** Resolves once every log that was begun is at its end. */
  async finished(): Promise<void> {
    await Promise.all([...this.#containers.values()].map((followed) => followed.reading));
  }

  #begin(pod: Pod, container: string, followed: Followed, id: string | undefined, previous: boolean): void {
    if (!id || followed.ids.has(id)) return;
    followed.ids.add(id);
    followed.reading = followed.reading.then(() => this.#read(pod, container, followed.lines, previous));
  }

  async #read(pod: Pod, container: string, lines: LogLines, previous: boolean): Promise<void> {
    const { clock, signal } = this.#options;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        return await this.#readOnce(pod, container, lines, previous);
      } catch (error) {
        if (signal.aborted) return;
        // The pod was deleted, or the container's earlier start is forgotten: there is nothing to read any more.
        if (isNotFound(error) || (previous && error instanceof ApiError && error.code === 400)) return;
        if (failures === tries) return this.#options.failed(pod, container, error);
        await sleep(clock, 50 * 2 ** failures, signal).catch(() => {});
      }
    }
  }

  async #readOnce(pod: Pod, container: string, lines: LogLines, previous: boolean): Promise<void> {
    const { client, signal, emit } = this.#options;
    const { namespace, name } = podRef(pod);
    const query = { container, timestamps: true, ...(previous ? { previous } : { follow: true }) };
    lines.restart();
    for await (const chunk of await client.stream(paths.pods(namespace, name, "log"), { query, signal })) {
      const fresh = lines.push(chunk);
      if (fresh.length > 0) await emit(pod, container, fresh);
    }
    const rest = lines.end();
    if (rest.length > 0) await emit(pod, container, rest);
  }
}
