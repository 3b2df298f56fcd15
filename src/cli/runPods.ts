import { type Clock, sleep } from "../clock.ts";
import type { KubeClient } from "../kube/client.ts";
import { paths } from "../kube/paths.ts";
import { reflect } from "../kube/reflector.ts";
import { type Event, type Pod, podRef } from "../kube/types.ts";
import type { Logger } from "../telemetry/log.ts";
import { type Io, type Notes, Prefixes, write } from "./console.ts";
import { count, deletePods } from "./endPods.ts";
import { type Interrupt, Interrupted } from "./interrupt.ts";
import { LogFollower } from "./logFollower.ts";
import { eventNews, podNews, schedulingNews } from "./news.ts";
import { exitCode, hasEnded } from "./outcome.ts";
import { PodWatch, type WatchedPod } from "./podWatch.ts";

export interface RunPodsOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  io: Io;
  notes: Notes;
  pods: Pod[];
  interrupt: Interrupt;
}

/** A pod that has no node after this is worth a word; before that, the node may not be known to the scheduler yet. */
const schedulingMs = 2000;
/** How much longer than its grace period a pod may take to be gone. */
const overtimeMs = 5000;
/** How long an ended pod's log may take to come to its end. */
const logEndMs = 10_000;
/** The same, where nobody waits for more than what is on its way. */
const lastWordsMs = 1000;

/** The pods of one run: their output and what is to be said of them, until they have ended. */
export class RunPods {
  readonly #options: RunPodsOptions;
  readonly #abort = new AbortController();
  readonly #names: Map<string, string>;
  readonly #follower: LogFollower;
  readonly #watch: PodWatch;
  readonly #events: Promise<void>;
  readonly #cancelScheduling: () => void;
  #schedulingDue = false;

  constructor(options: RunPodsOptions) {
    this.#options = options;
    const { client, clock, log, io, notes, pods } = options;
    this.#names = displayNames(pods);
    const prefixes = new Prefixes(
      pods.flatMap((pod) => this.#containersOf(pod)),
      io.stdout,
      io.env,
    );
    const { signal } = this.#abort;
    this.#follower = new LogFollower({
      client,
      clock,
      signal,
      emit: (pod, container, lines) => {
        const prefix = prefixes.of(`${this.#name(pod)}/${container}`);
        return write(io.stdout, Buffer.concat(lines.flatMap((line) => [prefix, line])), signal);
      },
      failed: (pod, container, error) => notes.say(`${this.#name(pod)}/${container}: its log can't be read: ${error}`),
    });
    this.#watch = new PodWatch({ client, clock, log, pods, onChange: (watched) => this.#changed(watched) });
    this.#events = reflect<Event>({
      client,
      path: paths.events(),
      onSync: (events) => {
        for (const event of events) this.#event(event);
      },
      onEvent: (_, event) => this.#event(event),
      log,
      clock,
      signal,
    });
    this.#cancelScheduling = clock.after(schedulingMs, () => {
      this.#schedulingDue = true;
      for (const watched of this.#watch.all()) this.#changed(watched);
    });
    notes.say(`waiting for ${count(pods.length, "pod")}; Ctrl-C ends ${pods.length === 1 ? "it" : "them"}`);
  }

  /**
   * Resolves once all pods have ended, or are gone, and all of their output is written; an interruption deletes them, each
   * with its own grace period, a second one at once.
   * @returns what to exit with
   */
  async outcome(): Promise<number> {
    const { interrupt, notes } = this.#options;
    try {
      await this.#watch.until(({ pod, gone }) => gone || hasEnded(pod), interrupt.first);
      await this.#outputEnds(logEndMs, interrupt.first);
      return exitCode(this.#watch.all().map(({ pod }) => pod));
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      notes.say(
        `${error.message}: ending ${count(this.#left().length, "pod")}, which may take their grace period; Ctrl-C kills at once`,
      );
      await this.remove();
      const patience = AbortSignal.any([
        interrupt.second,
        AbortSignal.timeout(longestGraceMs(this.#left()) + overtimeMs),
      ]);
      await this.#watch.until(({ gone }) => gone, patience).catch(() => notes.say("killing what is left"));
      await this.#outputEnds(lastWordsMs, interrupt.second).catch(() => {});
      return error.exitCode;
    }
  }

  /** Deletes what is left. @param gracePeriodSeconds undefined: each pod's own */
  remove(gracePeriodSeconds?: number): Promise<void> {
    const left = this.#left().map(({ pod }) => pod);
    return deletePods(this.#options.client, left, gracePeriodSeconds);
  }

  /** Lets go of watches and logs. Idempotent. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#cancelScheduling();
    await Promise.all([this.#watch.stop(), this.#events, this.#follower.finished()]);
  }

  /** Waits for the logs' end, but no longer than that. @throws the signal's reason */
  async #outputEnds(ms: number, signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const patience = sleep(this.#options.clock, ms, AbortSignal.any([signal, ended.signal]));
    try {
      await Promise.race([this.#follower.finished(), patience]);
    } finally {
      ended.abort();
    }
  }

  #left(): WatchedPod[] {
    return this.#watch.all().filter(({ gone }) => !gone);
  }

  #changed({ pod, gone }: WatchedPod): void {
    this.#follower.see(pod);
    const { notes } = this.#options;
    const name = this.#name(pod);
    for (const line of podNews(pod, name)) notes.say(line);
    if (this.#schedulingDue) for (const line of schedulingNews(pod, name)) notes.say(line);
    if (gone && !hasEnded(pod)) notes.say(`${name}: deleted`);
  }

  #event(event: Event): void {
    const name = this.#names.get(event.involvedObject.uid ?? "");
    const line = name === undefined ? undefined : eventNews(event, name);
    if (line !== undefined) this.#options.notes.say(line);
  }

  #name(pod: Pod): string {
    return this.#names.get(pod.metadata?.uid ?? "") ?? "";
  }

  #containersOf(pod: Pod): string[] {
    const { initContainers = [], containers = [] } = pod.spec ?? {};
    return [...initContainers, ...containers].map(({ name }) => `${this.#name(pod)}/${name}`);
  }
}

/** By UID; with the namespace where the pods are of several ones. */
function displayNames(pods: Pod[]): Map<string, string> {
  const refs = pods.map(podRef);
  const several = new Set(refs.map(({ namespace }) => namespace)).size > 1;
  return new Map(refs.map(({ namespace, name, uid }) => [uid, several ? `${namespace}/${name}` : name]));
}

function longestGraceMs(pods: WatchedPod[]): number {
  return Math.max(0, ...pods.map(({ pod }) => (pod.spec?.terminationGracePeriodSeconds ?? 30) * 1000));
}
