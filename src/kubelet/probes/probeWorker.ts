import type { Clock } from "../../clock.ts";
import type { Probe } from "../../kube/types.ts";
import { atLeastOne, judge, type ProbeRun, type ProbeVerdict } from "./judge.ts";
import type { ProbeOutcome } from "./outcome.ts";

export interface ProbeWorkerOptions {
  probe: Probe;
  clock: Clock;
  /** ms since the epoch */
  firstAt: number;
  /** Asks once. */
  ask(signal: AbortSignal): Promise<ProbeOutcome>;
  /** The result of every time it was asked; an Error is one that says nothing of the container. */
  asked(outcome: ProbeOutcome | Error, ms: number): void;
  /** What the results come to, each time they come to something. */
  verdict(verdict: ProbeVerdict): void;
}

/** One reason for all: abort() would make an error with a stack each time. */
/**
 * Probes are made at multiples of this, all that are due at once: each wakes the process several times, and for half of what a
 * probe costs it does not matter how many are made in one waking. ms
 */
const slotMs = 100;
const timedOut = new Error("the probe's timeout is over");
const stopped = new Error("the probe is not made any more");

/** Asks again and again by the probe's own timetable, one question at a time, until it is stopped. */
export class ProbeWorker {
  readonly #options: ProbeWorkerOptions;
  #run: ProbeRun = { count: 0 };
  #cancel = () => {};
  /** The same one for each question, until it was needed. */
  #abort = new AbortController();
  #stopped = false;

  constructor(options: ProbeWorkerOptions) {
    this.#options = options;
    const { firstAt, clock } = options;
    const now = clock.now();
    this.#askAt(firstAt <= now ? now : Math.ceil(firstAt / slotMs) * slotMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
    this.#abort.abort(stopped);
  }

  #askAt(time: number): void {
    const { clock } = this.#options;
    const ms = time - clock.now();
    if (ms <= 0) void this.#ask(time);
    else this.#cancel = clock.after(ms, () => void this.#ask(time));
  }

  async #ask(due: number): Promise<void> {
    const { probe, clock, ask, asked, verdict } = this.#options;
    const begin = clock.now();
    if (this.#abort.signal.aborted) this.#abort = new AbortController();
    const abort = this.#abort;
    this.#cancel = clock.after(atLeastOne(probe.timeoutSeconds, 1) * 1000, () => abort.abort(timedOut));
    let outcome: ProbeOutcome | Error;
    try {
      outcome = await ask(abort.signal);
    } catch (error) {
      outcome = error as Error;
    }
    this.#cancel();
    if (this.#stopped) return;
    // Counted from when the last one was due, as the kubelet's ticker does; one that took longer than a period is followed at
    // once, and none is made up for.
    const period = atLeastOne(probe.periodSeconds, 10) * 1000;
    const next = Math.ceil(due / slotMs) * slotMs + period;
    const slot = clock.now() - (clock.now() % slotMs);
    // Not later than a period from now: the clock may have been set back meanwhile.
    this.#askAt(Math.min(Math.max(next, slot), slot + slotMs + period));
    asked(outcome, clock.now() - begin);
    // An error says nothing of the container: it counts neither way.
    if (outcome instanceof Error) return;
    const judged = judge(this.#run, outcome.result === "failure" ? "failure" : "success", probe);
    this.#run = judged.run;
    if (judged.verdict) verdict(judged.verdict);
  }
}
