import { createInterface } from "node:readline";
import { type Clock, sleep } from "../../clock.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { EngineEvent } from "./api.ts";
import type { EngineClient } from "./engineClient.ts";

/** How long after it was lost the stream is tried again: doubling. ms */
const [firstRetry, longestRetry] = [100, 5_000];

export interface EventStreamOptions {
  client: EngineClient;
  /** Only what happens to containers with this label, `name=value`. */
  label: string;
  clock: Clock;
  log: Logger;
  /** A container ended, or was removed. */
  ended(engineID: string): void;
  /** The stream is open, again: what happened before is to be asked for. */
  opened(): Promise<void>;
  signal: AbortSignal;
}

/**
 * Hears of every end for as long as `signal` allows, whatever becomes of the engine meanwhile.
 * @returns when the stream is open for the first time
 * @throws {EngineError} where that fails
 */
export async function followEvents(options: EventStreamOptions): Promise<void> {
  const first = await open(options);
  void keepOpen(first, options);
}

async function open({ client, label, signal }: EventStreamOptions) {
  const filters = JSON.stringify({ type: ["container"], label: [label], event: ["die", "died", "destroy", "remove"] });
  return client.stream({ method: "GET", path: "/events", query: { filters }, signal });
}

async function keepOpen(first: Awaited<ReturnType<typeof open>>, options: EventStreamOptions): Promise<void> {
  const { clock, log, signal } = options;
  let stream: typeof first | undefined = first;
  let wait = firstRetry;
  while (!signal.aborted) {
    try {
      stream ??= await open(options);
      wait = firstRetry;
      if (stream !== first) {
        log.info("the container engine answers again");
        await options.opened();
      }
      await readEvents(stream, options);
    } catch (error) {
      if (signal.aborted) return;
      log.debug({ err: error }, "the engine's events can't be read");
    }
    if (signal.aborted) return;
    if (stream) log.warn("the container engine is away; its containers are looked at again when it is back");
    stream = undefined;
    await sleep(clock, wait, signal).catch(() => {});
    wait = Math.min(wait * 2, longestRetry);
  }
}

async function readEvents(stream: Awaited<ReturnType<typeof open>>, options: EventStreamOptions): Promise<void> {
  for await (const line of createInterface({ input: stream })) {
    if (line.trim() === "") continue;
    const { Actor } = JSON.parse(line) as EngineEvent;
    if (Actor?.ID !== undefined) options.ended(Actor.ID);
  }
}
