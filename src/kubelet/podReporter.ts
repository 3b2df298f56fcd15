import type { PodUpdate } from "../kube/podUpdate.ts";
import type { Pod, PodCondition, PodRef, PodStatus } from "../kube/types.ts";
import type { PodActions } from "./decide/actions.ts";
import { computePodStatus } from "./decide/status.ts";
import type { PodView } from "./decide/view.ts";

/** A status that would be news for a moment only is held back this long: most pods run by then. */
const settleMs = 100;

/** Turns what is known of a pod into its status, and reports it where it is news. */
export class PodReporter {
  readonly #ref: PodRef;
  readonly #hostIP: string;
  readonly #podIP: string;
  readonly #report: (update: PodUpdate) => void;
  #status: PodStatus | undefined;
  #text = "";
  #reported = "";
  #holdUntil: number;
  /** A pod found again says nothing before the node has handed it over: its conditions' times are in the API object. */
  #silent: boolean;
  /** Conditions as they were last known to the cluster, for their transition times. */
  #conditions: PodCondition[];

  /** @param found the pod was found again, and its object of today is still to come */
  constructor(options: {
    ref: PodRef;
    pod: Pod;
    hostIP: string;
    podIP: string;
    found: boolean;
    startedAt: number;
    report(update: PodUpdate): void;
  }) {
    this.#ref = options.ref;
    this.#hostIP = options.hostIP;
    this.#podIP = options.podIP;
    this.#report = options.report;
    this.#silent = options.found;
    this.#conditions = options.pod.status?.conditions ?? [];
    this.#holdUntil = options.found ? 0 : options.startedAt + settleMs;
  }

  get status(): PodStatus | undefined {
    return this.#status;
  }

  get silent(): boolean {
    return this.#silent;
  }

  /** Something has begun that will be done in a moment. */
  hold(now: number): void {
    this.#holdUntil = Math.max(this.#holdUntil, now + settleMs);
  }

  /** The pod's object is here: from now on there is something to compare with. */
  speak(pod: Pod | undefined, now: number): void {
    if (!this.#silent) return;
    this.#silent = false;
    if (!pod) return;
    this.#conditions = pod.status?.conditions ?? [];
    this.#holdUntil = now + settleMs;
  }

  /** @returns when to look again, because news is held back until then */
  look(view: PodView, actions: PodActions): number | undefined {
    const status = computePodStatus(view, actions, {
      hostIP: this.#hostIP,
      podIP: this.#podIP,
      previous: this.#conditions,
    });
    const text = JSON.stringify(status);
    // The same object for the same status: whoever writes it can tell that nothing changed.
    if (text !== this.#text) this.#status = status;
    this.#text = text;
    if (text === this.#reported || this.#silent) return undefined;
    // Of a clock that was set back the time would not come for long.
    this.#holdUntil = Math.min(this.#holdUntil, view.now + settleMs);
    if (this.#isPassing(view)) return this.#holdUntil;
    this.#reported = text;
    this.#conditions = status.conditions ?? [];
    this.#report({ pod: this.#ref, status: this.#status!, gone: false });
    return undefined;
  }

  /** Nothing of the pod is left. */
  gone(): void {
    this.#report({ pod: this.#ref, status: this.#status ?? {}, gone: true });
  }

  /** Something is under way that will be done in a moment: no news yet. */
  #isPassing(view: PodView): boolean {
    if (view.now >= this.#holdUntil || view.ending || view.setupProblem) return false;
    return !view.ready || view.containers.some((c) => c.starting || (c.attempts.length === 0 && !c.problem));
  }
}
