import { type Clock, sleep } from "../clock.ts";
import type { Provider } from "../providers/contract.ts";
import type { Logger } from "../telemetry/log.ts";

const everyMs = 60_000;
const deadlineMs = 20_000;

/** What a Provider has for pods that is not what this host has, kept up to date. Its last word counts until there is a new one. */
export class ProvidedCapacity {
  readonly #options: { provider: Provider; clock: Clock; log: Logger; signal: AbortSignal };
  resources: Record<string, string> = {};
  #failed = false;

  constructor(options: { provider: Provider; clock: Clock; log: Logger; signal: AbortSignal }) {
    this.#options = options;
  }

  /** Resolves when it was asked for the first time, whatever came of it. */
  async start(): Promise<void> {
    if (!this.#options.provider.capacity) return;
    await this.#ask();
    void this.#goOn();
  }

  async #goOn(): Promise<void> {
    const { clock, signal } = this.#options;
    while (!signal.aborted) {
      await sleep(clock, everyMs, signal).catch(() => {}); // aborted: the loop ends
      if (!signal.aborted) await this.#ask();
    }
  }

  async #ask(): Promise<void> {
    const { provider, log, signal } = this.#options;
    try {
      this.resources = (await provider.capacity?.(AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]))) ?? {};
      this.#failed = false;
    } catch (error) {
      if (!this.#failed && !signal.aborted) log.warn({ err: error }, "what there is for pods can't be told now");
      this.#failed = true;
    }
  }
}
