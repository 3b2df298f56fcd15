import { type Clock, sleep } from "../../clock.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { NodeNews, ProviderCapabilities } from "../contract.ts";
import type { InterlinkClient } from "./client.ts";
import type { PingResponse } from "./wire/types.ts";

export interface LinkOptions {
  client: InterlinkClient;
  clock: Clock;
  log: Logger;
  intervalMs: number;
  /** The far end turned out to be ours. */
  extended(): void;
  news(news: NodeNews): void;
  signal: AbortSignal;
}

const conditionType = "InterlinkConnectivity";

/** After a failure the next ping comes sooner, so that a node is not away for longer than its far end is. */
const soonMs = 5_000;

/** For the first answer: a node says what it has from the beginning, if it can. */
const patienceMs = 3_000;

/** The pings, and what follows from their answers: what the far end can, and what the node is to say of itself. */
export class Link {
  readonly #options: LinkOptions;
  #capabilities: ProviderCapabilities;
  #reached: boolean | undefined;
  #told = "";

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#capabilities = without(`the interLink API server at ${options.client.url} was not heard of yet`);
  }

  get capabilities(): ProviderCapabilities {
    return this.#capabilities;
  }

  /** Both ends of every hop are ours. */
  get extended(): boolean {
    return this.#extended;
  }

  #extended = false;

  /** Resolves when the far end was heard of, or when that takes too long. */
  async start(): Promise<void> {
    const { clock, signal } = this.#options;
    const enough = sleep(clock, patienceMs, signal).catch(() => {});
    await Promise.race([this.#ping(), enough]);
  }

  async #ping(): Promise<void> {
    const { client, clock, log, signal, intervalMs } = this.#options;
    let reached = false;
    try {
      this.#answered(await client.ping(signal));
      reached = true;
    } catch (error) {
      if (signal.aborted) return;
      if (this.#reached !== false) log.warn({ err: error }, "the interLink API server can't be reached");
      this.#failed(error as Error);
    }
    this.#reached = reached;
    const cancel = clock.after(reached ? intervalMs : Math.min(soonMs, intervalMs), () => {
      signal.removeEventListener("abort", cancel);
      void this.#ping();
    });
    signal.addEventListener("abort", cancel, { once: true });
  }

  #answered(reply: PingResponse): void {
    const { client } = this.#options;
    const wasExtended = this.#extended;
    this.#extended = reply.hostlet !== undefined && !reply.hostlet.foreign;
    this.#capabilities = reply.hostlet
      ? { ...without("the far end does not say that it can"), ...reply.hostlet.capabilities }
      : without(`interLink's protocol does not carry it, and the other side at ${client.url} is not hostlet's`);
    const message = `The interLink API server at ${client.url} answers`;
    this.#tell({
      ready: { ready: true, reason: "KubeletReady", message: "hostlet is ready to run pods" },
      condition: { type: conditionType, status: "True", reason: "InterlinkPingSucceeded", message },
      ...(reply.resources && { resources: resourcesOf(reply.resources) }),
      ...(reply.taints && { taints: reply.taints.map((taint) => ({ ...taint, effect: effectOf(taint.effect) })) }),
    });
    if (this.#extended && !wasExtended) this.#options.extended();
  }

  #failed(error: Error): void {
    const message = `The interLink API server does not answer: ${error.message}`.slice(0, 500);
    const why = { reason: "InterlinkPingFailed", message };
    this.#tell({ ready: { ready: false, ...why }, condition: { type: conditionType, status: "False", ...why } });
  }

  #tell(news: NodeNews): void {
    const words = JSON.stringify(news);
    if (words === this.#told) return;
    this.#told = words;
    this.#options.news(news);
  }
}

function without(why: string): ProviderCapabilities {
  return { exec: why, attach: why, portForward: why, stats: why };
}

/** Accelerators are extended resources of their type's name. */
function resourcesOf({
  cpu,
  memory,
  pods,
  accelerators = [],
}: NonNullable<PingResponse["resources"]>): Record<string, string> {
  const given = Object.entries({ cpu, memory, pods }).filter((pair): pair is [string, string] => Boolean(pair[1]));
  return {
    ...Object.fromEntries(given),
    ...Object.fromEntries(accelerators.map((one) => [one.resourceType, String(one.available)])),
  };
}

/** As interLink has it: an effect that is none is the mildest that keeps pods away. */
function effectOf(effect: string): string {
  return ["NoSchedule", "PreferNoSchedule", "NoExecute"].includes(effect) ? effect : "NoSchedule";
}
