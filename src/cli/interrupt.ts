import type { Clock } from "../clock.ts";
import type { Io, StopSignal } from "./console.ts";
import { signalExitCode } from "./console.ts";

/** Why a command ends before its time; the reason of the signals below. */
export class Interrupted extends Error {
  readonly exitCode: number;

  constructor(why: StopSignal | "timeout") {
    super(why);
    this.name = "Interrupted";
    // As timeout(1) has it.
    this.exitCode = why === "timeout" ? 124 : signalExitCode[why];
  }
}

export interface Interrupt {
  /** Aborted by the first signal, or by the timeout: end in good order. */
  readonly first: AbortSignal;
  /** Aborted by the second one: end at once. */
  readonly second: AbortSignal;
  /** The timeout counts no longer. */
  cancelTimeout(): void;
  /** Lets go of signals, timer and process. */
  dispose(): void;
}

/**
 * Of a command that goes on until it is disposed: the process stays until then.
 * @param timeoutMs undefined: never
 */
export function onInterrupt(io: Io, clock: Clock, timeoutMs?: number): Interrupt {
  const first = new AbortController();
  const second = new AbortController();
  const stopListening = io.onSignal((signal) => {
    if (!first.signal.aborted) first.abort(new Interrupted(signal));
    else if (signal !== "SIGPIPE") second.abort(new Interrupted(signal));
  });
  // The clock's timers and the listeners of a node let the process end; a command that waits for its cluster has nothing else.
  const alive = setInterval(() => {}, 2 ** 30);
  const cancel =
    timeoutMs === undefined ? () => {} : clock.after(timeoutMs, () => first.abort(new Interrupted("timeout")));
  return {
    first: first.signal,
    second: second.signal,
    cancelTimeout: cancel,
    dispose() {
      stopListening();
      cancel();
      clearInterval(alive);
    },
  };
}
