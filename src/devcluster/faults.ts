import type { Clock } from "../clock.ts";
import { sleep } from "../clock.ts";
import type { Exchange } from "./http/exchange.ts";
import { StatusError } from "./status.ts";

/** What a fault can be picked by. */
export interface FaultRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  user: string;
}

export interface Fault {
  match: (request: FaultRequest) => boolean;
  /** How many requests it hits. @default 1 */
  times?: number;
  /**
   * reset: the stream is cut before any answer; status: answered with `status`; slow: answered after `delayMs`;
   * half: half of the answer's body, then cut (of a watch: cut after its headers).
   */
  kind: "reset" | "status" | "slow" | "half";
  /** @default 500 */
  status?: number;
  /** Seconds, for the header `Retry-After`. */
  retryAfter?: number;
  /** Milliseconds. @default 1000 */
  delayMs?: number;
}

export interface Faults {
  /** @returns takes the fault back */
  add(fault: Fault): () => void;
  clear(): void;
  /** Makes every resourceVersion but the present one expire. */
  compact(): void;
}

export class FaultInjector implements Faults {
  readonly #armed: { fault: Fault; left: number }[] = [];
  readonly #compact: () => void;

  constructor(compact: () => void) {
    this.#compact = compact;
  }

  add(fault: Fault): () => void {
    const armed = { fault, left: fault.times ?? 1 };
    this.#armed.push(armed);
    return () => {
      armed.left = 0;
    };
  }

  clear(): void {
    this.#armed.length = 0;
  }

  compact(): void {
    this.#compact();
  }

  /**
   * Lets a fault happen to the request, if one is meant for it.
   * @returns true where the request has been dealt with
   */
  async apply(exchange: Exchange, user: string, clock: Clock): Promise<boolean> {
    if (this.#armed.length === 0) return false;
    const request = { method: exchange.method, path: exchange.path, query: exchange.query, user };
    const armed = this.#armed.find(({ fault, left }) => left > 0 && fault.match(request));
    if (!armed) return false;
    armed.left--;
    const { fault } = armed;
    switch (fault.kind) {
      case "reset":
        exchange.reset();
        return true;
      case "slow":
        await sleep(clock, fault.delayMs ?? 1000, exchange.signal).catch(() => {});
        return exchange.signal.aborted;
      case "half":
        exchange.cutShort();
        return false;
      case "status": {
        const code = fault.status ?? 500;
        const { status } = new StatusError(code, reasons[code] ?? "InternalError", `a fault for tests: ${code}`);
        const headers = fault.retryAfter === undefined ? {} : { "retry-after": String(fault.retryAfter) };
        exchange.send(code, JSON.stringify(status), "application/json", headers as Record<string, string>);
        return true;
      }
    }
  }
}

const reasons: Record<number, string> = {
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  409: "Conflict",
  410: "Expired",
  429: "TooManyRequests",
  503: "ServiceUnavailable",
  504: "Timeout",
};
