import { HostletError } from "../errors.ts";
import { type Pod, type PodRef, type PodStatus, podRef } from "../kube/types.ts";
import type { RuntimeContainer } from "../runtimes/contract.ts";
import type { Logger } from "../telemetry/log.ts";
import { endingAfterSetBack, StepClock, setBackContainer } from "./clockSetBack.ts";
import { ContainerStarter } from "./containerStarter.ts";
import { computePodActions, type PodActions, type StartAction } from "./decide/actions.ts";
import { creationRetryMs, recoveredBackoff } from "./decide/backoff.ts";
import { resizeRefusal, withAllocated } from "./decide/resize.ts";
import { type ContainerView, containerKinds, type Ending, latest, type PodView } from "./decide/view.ts";
import type { KubeletDeps } from "./deps.ts";
import type { AssignedDevices } from "./devices/assign.ts";
import { isRefused } from "./devices/ledger.ts";
import type { Eviction } from "./eviction.ts";
import { PodHooks } from "./hooks/podHooks.ts";
import { logTarget } from "./logTarget.ts";
import { podAddress } from "./network/podNetwork.ts";
import { PodEvents } from "./podEvents.ts";
import type { PodPaths, PodRecord } from "./podFiles.ts";
import { PodReporter } from "./podReporter.ts";
import { messageOf, PodSetup } from "./podSetup.ts";
import type { ProbeKind } from "./probes/judge.ts";
import { PodProbes } from "./probes/podProbes.ts";
import { isNews, slimPod } from "./slimPod.ts";
import { ContainerStopper } from "./termination.ts";
import { withTerminationMessage } from "./terminationMessage.ts";
import { type HostAbilities, unsupportedFields } from "./unsupported.ts";

/** How long after an unexpected error the pod is looked at again. */
const lookAgainMs = 1000;
/** Pods that are over sooner never cost a watch of the objects that they mount. */
const watchAfterMs = 1000;
/** One reason for all: abort() would make an error with a stack for each pod. */
const stopped = new Error("the pod is let go of");

/** What is known of a pod when its worker begins. */
export interface PodStart {
  pod: Pod;
  startedAt: number;
  /** What earlier agents started. */
  attempts: RuntimeContainer[];
  /** The pod has its directory and its record. */
  recorded: boolean;
  ended?: NonNullable<PodRecord["ended"]>;
  /** Attempts whose startup probe has succeeded, by container. */
  started?: NonNullable<PodRecord["started"]>;
  devices?: AssignedDevices;
}

/**
 * Takes one pod through its life. Level-triggered: whatever happens only asks for another look, and each look compares
 * what is with what should be (`computePodActions`), starts what is missing and reports the status where it changed.
 * Everything that takes time runs beside and asks for a look when it is done.
 */
export class PodWorker {
  readonly ref: PodRef;
  readonly podIP: string;
  readonly #deps: KubeletDeps;
  readonly #log: Logger;
  readonly #startedAt: number;
  #activeSince: number;
  readonly #paths: PodPaths;
  readonly #containers: ContainerView[];
  readonly #abort = new AbortController();
  /** Of all that only starting needs: aborted as soon as the pod ends. */
  readonly #preparing = new AbortController();
  readonly #gone: () => void;
  readonly #look = () => {
    try {
      this.#sync();
    } catch (error) {
      // One pod's trouble must not end the agent, and with it the care for all others.
      this.#log.error({ err: error }, "unexpected error; the pod is looked at again");
      this.#later(lookAgainMs, () => this.#kick());
    }
  };
  #pod: Pod;
  #recorded: boolean;
  #ending: Ending | undefined;
  #deleteAsked = false;
  #removing = false;
  #wake: (() => void) | undefined;
  readonly #timers = new Set<() => void>();
  readonly #events: PodEvents;
  readonly #reporter: PodReporter;
  readonly #setup: PodSetup;
  readonly #starter: ContainerStarter;
  readonly #stopper: ContainerStopper;
  readonly #hooks: PodHooks;
  readonly #probes: PodProbes;
  /** As the record has it. */
  #started: NonNullable<PodRecord["started"]>;
  #devices: AssignedDevices | undefined;
  #resizeRefused: string | undefined;
  #removals = 0;

  /** @param gone called once, when nothing of the pod is left */
  constructor(node: KubeletDeps, start: PodStart, gone: () => void) {
    const clock = new StepClock(node.clock, (ms) => this.#clockSetBack(ms));
    const deps = { ...node, clock };
    this.#deps = deps;
    this.#pod = slimPod(start.pod);
    this.ref = podRef(start.pod);
    this.#log = deps.log.child({ pod: `${this.ref.namespace}/${this.ref.name}`, uid: this.ref.uid });
    this.#startedAt = start.startedAt;
    this.#activeSince = start.startedAt;
    this.#recorded = start.recorded;
    this.#gone = gone;
    this.#paths = deps.files.paths(start.pod);
    this.#containers = containerKinds(start.pod).map(({ spec, kind }) => {
      const attempts = start.attempts
        .filter((a) => a.id.container === spec.name)
        .sort((a, b) => a.id.attempt - b.id.attempt);
      const last = attempts.at(-1);
      const backoff = last && recoveredBackoff(last.restartCount, last.startedAt ?? start.startedAt);
      const started = last && start.started?.[spec.name] === last.id.attempt;
      return {
        spec,
        kind,
        attempts,
        starting: false,
        ...(backoff && { backoff }),
        ...(started && { startup: "success" as const }),
      };
    });
    this.#started = start.started ?? {};
    this.#devices = start.devices;
    if (start.devices) deps.devices.restore(this.ref.uid, start.devices);
    this.podIP = podAddress(start.pod, deps.hostIP, deps.network);
    const { podIP } = this;
    this.#events = new PodEvents(deps.events, this.ref);
    this.#reporter = new PodReporter({
      ref: this.ref,
      pod: start.pod,
      hostIP: deps.hostIP,
      podIP,
      found: start.recorded,
      startedAt: start.startedAt,
      report: deps.report,
    });
    this.#setup = new PodSetup({
      deps,
      ref: this.ref,
      paths: this.#paths,
      events: this.#events,
      signal: this.#preparing.signal,
      objectChanged: () => this.#objectChanged(),
    });
    const { runtime } = deps;
    const events = this.#events;
    this.#starter = new ContainerStarter({
      deps,
      ref: this.ref,
      paths: this.#paths,
      events,
      setup: this.#setup,
      signal: this.#preparing.signal,
    });
    this.#hooks = new PodHooks({ runtime, clock, events, log: this.#log, podIP });
    this.#stopper = new ContainerStopper({
      deps: { runtime, clock, log: this.#log },
      events,
      hooks: this.#hooks,
      signal: this.#abort.signal,
      later: (ms, callback) => this.#later(ms, callback),
      background: (work) => this.#background(work),
      kick: () => this.#kick(),
    });
    this.#probes = new PodProbes(
      {
        ref: this.ref,
        runtime,
        metrics: deps.metrics,
        clock,
        events,
        podIP,
        found: start.recorded,
        changed: (container, kind) => this.#probed(container, kind),
      },
      this.#containers,
    );
    if (start.ended) this.#beginEnding({ killAt: deps.clock.now(), ...start.ended });
    const messages = this.#containers.flatMap((view) => view.attempts.map((attempt) => this.#take(view, attempt)));
    if (messages.length > 0) this.#background(Promise.all(messages).then(() => {}));
    else this.#kick();
  }

  get pod(): Pod {
    return this.#pod;
  }

  get status(): PodStatus | undefined {
    return this.#reporter.status;
  }

  /** The pod's object changed. */
  update(pod: Pod): void {
    const metadataChanged =
      JSON.stringify([pod.metadata?.labels, pod.metadata?.annotations]) !==
      JSON.stringify([this.#pod.metadata?.labels, this.#pod.metadata?.annotations]);
    if (!this.#reporter.silent && !isNews(this.#pod, pod)) return;
    this.#resizeRefused = resizeRefusal(this.#pod, pod);
    this.#pod = withAllocated(slimPod(pod), this.#pod);
    if (this.#reporter.silent) this.#adopt(pod);
    this.#addEphemeral();
    this.#reporter.speak(pod, this.#deps.clock.now());
    if (metadataChanged) this.#background(this.#setup.refresh(pod));
    this.#kick();
  }

  /** Ends the pod within `gracePeriodSeconds`; a later call can only shorten that. */
  delete(gracePeriodSeconds: number): void {
    const killAt = this.#deps.clock.now() + gracePeriodSeconds * 1000;
    const before = this.#ending;
    this.#deleteAsked = true;
    this.#reporter.speak(undefined, this.#deps.clock.now());
    const ending = before
      ? { ...before, killAt: Math.min(before.killAt, killAt) }
      : { cause: "deleted" as const, killAt };
    this.#beginEnding({ ...ending, ...(gracePeriodSeconds === 0 && { force: true }) });
    this.#kick();
  }

  /** The node ends the pod for a reason of its own: it is Failed. Without effect on one that is ending already. */
  evict(eviction: Eviction): void {
    if (this.#ending) return;
    const { gracePeriodSeconds, reason, message } = eviction;
    const killAt = this.#deps.clock.now() + gracePeriodSeconds * 1000;
    this.#end({ cause: "evicted", killAt, reason, message, ...(gracePeriodSeconds === 0 && { force: true }) });
    this.#kick();
  }

  /** A container of this pod ended. */
  exited(container: RuntimeContainer): void {
    const view = this.#containers.find((c) => c.spec.name === container.id.container);
    if (!view) return;
    if (latest(view)?.id.attempt === container.id.attempt) this.#hooks.abandon(view);
    this.#background(this.#take(view, container));
  }

  /** An end is known from when its message is. */
  async #take(view: ContainerView, ended: RuntimeContainer): Promise<void> {
    const told = await withTerminationMessage(ended, view.spec, this.#paths, this.#deps, this.#abort.signal);
    const index = view.attempts.findIndex((a) => a.id.attempt === ended.id.attempt);
    if (index >= 0) view.attempts[index] = told;
    if (told.exit && index === view.attempts.length - 1) view.endSeenAt = this.#deps.clock.now();
  }

  /** @throws {HostletError} NotFound, in the kubelet's words */
  logTarget(name: string, previous: boolean): RuntimeContainer {
    return logTarget(this.ref, this.#containers, this.status, name, previous);
  }

  /** Whether a container of this name holds its standard input open. */
  takesStdin(name: string): boolean {
    return this.#containers.some((c) => c.spec.name === name && c.spec.stdin === true);
  }

  #clockSetBack(ms: number): void {
    this.#activeSince -= ms;
    if (this.#ending) this.#ending = endingAfterSetBack(this.#ending, ms);
    for (const container of this.#containers) setBackContainer(container, ms);
    this.#setup.setBack(ms);
  }

  /** Lets go of timers and watches; the pod runs on. */
  stop(): void {
    this.#abort.abort(stopped);
    this.#preparing.abort(stopped);
    this.#probes.stop();
    this.#hooks.stop();
    this.#wake?.();
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  #later(ms: number, callback: () => void): void {
    if (this.#abort.signal.aborted) return;
    const cancel = this.#deps.clock.after(ms, () => {
      this.#timers.delete(cancel);
      callback();
    });
    this.#timers.add(cancel);
  }

  #kick(): void {
    if (!this.#abort.signal.aborted) this.#deps.queue.push(this.#look);
  }

  #view(): PodView {
    return {
      pod: this.#pod,
      now: this.#deps.clock.now(),
      startedAt: this.#startedAt,
      activeSince: this.#activeSince,
      ready: this.#setup.ready,
      containers: this.#containers,
      ...(this.#setup.problem && { setupProblem: this.#setup.problem }),
      ...(this.#ending && { ending: this.#ending }),
      ...(this.#resizeRefused !== undefined && { resizeRefused: this.#resizeRefused }),
    };
  }

  #sync(): void {
    if (this.#abort.signal.aborted || this.#removing) return;
    this.#record();
    let view = this.#view();
    let actions = computePodActions(view);
    if (actions.end) {
      this.#end(actions.end);
      view = this.#view();
      actions = computePodActions(view);
    }
    if (!this.#ending && this.#recorded && this.#setup.isDue(view.now)) this.#background(this.#setUp());
    else if ((this.#setup.nextAt ?? Number.POSITIVE_INFINITY) <= view.now && this.#setup.ready) {
      this.#background(this.#setup.refresh(this.#pod));
    }
    for (const action of actions.stop) {
      const container = this.#containers.find((c) => c.spec.name === action.container)!;
      this.#background(this.#stopper.step(container, action));
    }
    for (const start of actions.start) this.#background(this.#start(start));
    this.#probes.sync(view);
    if (actions.settled) this.#freeDevices();
    this.#report(view, actions);
    if (actions.settled && this.#deleteAsked && this.#setup.idle) this.#background(this.#remove());
  }

  #background(work: Promise<void>): void {
    const failed = (error: unknown) => this.#log.error({ err: error }, "unexpected error; the pod is looked at again");
    void work.catch(failed).then(() => this.#kick());
  }

  /** The record comes first: whatever is started later, the next agent knows the pod. */
  #record(): void {
    if (this.#recorded || this.#ending || this.#deps.clock.now() < this.#setup.retryAt) return;
    try {
      const { refused, ignored } = unsupportedFields(this.#pod, this.#abilities());
      if (refused.length > 0) {
        const message = `this node can't run the pod as it asks: ${refused.join("; ")}`;
        this.#event("Warning", "UnsupportedSecurityContext", message);
        this.#end({ cause: "refused", killAt: 0, reason: "UnsupportedSecurityContext", message });
        return;
      }
      const devices = this.#takeDevices();
      if (!devices) return;
      this.#deps.files.create(this.#pod, this.#startedAt, devices);
      this.#recorded = true;
      if (ignored.length > 0)
        this.#event("Warning", "FieldsIgnored", `without effect on this node: ${ignored.join(", ")}`);
    } catch (error) {
      this.#setup.failed(this.#pod, error, "FailedCreatePodDirectory");
    }
  }

  /** @returns undefined where the pod is refused for want of them */
  #takeDevices(): AssignedDevices | undefined {
    const devices = this.#deps.devices.take(this.#pod);
    // Of a pod whose record was lost nobody knows what it had; it ran, and is not ended for that.
    const lost = this.#containers.some(({ attempts }) => attempts.length > 0);
    if (!isRefused(devices)) this.#devices = devices;
    else if (lost) this.#devices = {};
    else {
      this.#event("Warning", "UnexpectedAdmissionError", devices.refused);
      this.#end({ cause: "refused", killAt: 0, reason: "UnexpectedAdmissionError", message: devices.refused });
      return undefined;
    }
    return this.#devices;
  }

  /** The record first: the next agent must not take them for this pod's any more. */
  #freeDevices(): void {
    if (this.#recorded && Object.keys(this.#devices ?? {}).length > 0) {
      this.#devices = undefined;
      const { cause, reason, message } = this.#ending ?? {};
      const told =
        reason !== undefined && message !== undefined && cause && cause !== "deleted" && cause !== "finished";
      this.#save(told ? { cause, reason, message } : undefined);
    }
    this.#deps.devices.release(this.ref.uid);
  }

  #abilities(): HostAbilities {
    return { rights: this.#deps.rights, features: this.#deps.features(this.#pod) };
  }

  #beginEnding(ending: Ending): void {
    this.#ending = ending;
    this.#preparing.abort(stopped);
  }

  #end(ending: Ending): void {
    this.#beginEnding(ending);
    const { cause, reason, message } = ending;
    if (reason === undefined || message === undefined || cause === "deleted" || cause === "finished") return;
    if (cause === "deadline") this.#event("Normal", reason, message);
    // A pod that was refused before it had a record is refused again by the next agent.
    if (!this.#recorded) return;
    this.#save({ cause, reason, message });
  }

  /** A full disk must not keep the pod from going on; at worst the next agent has to find out the same again. */
  #save(ended?: PodRecord["ended"]): void {
    try {
      const started = Object.keys(this.#started).length > 0 && { started: this.#started };
      const record = { version: 1 as const, pod: this.#pod, startedAt: this.#startedAt };
      const devices = this.#devices && { devices: this.#devices };
      this.#deps.files.save({ ...record, ...(ended && { ended }), ...started, ...devices });
    } catch (error) {
      this.#log.warn({ err: error }, "what became of the pod could not be recorded");
    }
  }

  /** A probe's verdict has changed. That a container has started is kept: it is never asked again for this attempt. */
  #probed(container: ContainerView, kind: ProbeKind): void {
    if (kind === "startup" && container.startup && this.#recorded && !this.#ending) {
      this.#started = { ...this.#started, [container.spec.name]: latest(container)!.id.attempt };
      this.#save();
    }
    this.#kick();
  }

  /** The record comes before the start, here too. */
  #addEphemeral(): void {
    const added = containerKinds(this.#pod).filter(
      ({ spec, kind }) => kind === "ephemeral" && !this.#containers.some((c) => c.spec.name === spec.name),
    );
    for (const { spec, kind } of added) {
      const view: ContainerView = { spec, kind, attempts: [], starting: false };
      const alone = { ...this.#pod, spec: { ...this.#pod.spec, initContainers: [], containers: [spec] } };
      const { refused } = unsupportedFields(alone, this.#abilities());
      if (refused.length > 0) {
        const message = `this node can't run the container as it asks: ${refused.join("; ")}`;
        view.problem = { reason: "CreateContainerConfigError", message, tries: 1, retryAt: 0, final: true };
        this.#event("Warning", "Failed", `Error: ${message}`, view);
      }
      this.#containers.push(view);
    }
    if (added.length > 0 && this.#recorded && !this.#ending) this.#save();
  }

  /** What the cluster knows of containers that an earlier agent probed: nothing of it is news only because the agent is new. */
  #adopt(pod: Pod): void {
    const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
    for (const status of [...initContainerStatuses, ...containerStatuses]) {
      const container = this.#containers.find((c) => c.spec.name === status.name);
      if (!container || latest(container)?.containerID !== status.containerID) continue;
      if (status.started) container.startup ??= "success";
      container.readiness ??= status.ready ? "success" : "failure";
    }
  }

  async #setUp(): Promise<void> {
    try {
      await this.#setup.begin(this.#pod);
      if (this.#setup.ready) this.#later(watchAfterMs, () => this.#setup.watch(this.#setup.prepared.refs));
    } catch (error) {
      const reason = (error instanceof HostletError && error.reason) || "PodInvalid";
      const message = messageOf(error);
      this.#event("Warning", reason, message);
      this.#end({ cause: "refused", killAt: 0, reason, message });
    }
  }

  /** What waits for an object is tried again at once; volumes that hold it are brought up to date. */
  #objectChanged(): void {
    this.#setup.retryAt = 0;
    for (const { problem } of this.#containers) if (problem) problem.retryAt = 0;
    this.#background(this.#setup.refresh(this.#pod));
    this.#kick();
  }

  async #start(action: StartAction): Promise<void> {
    const view = this.#containers.find((c) => c.spec.name === action.container)!;
    this.#reporter.hold(this.#deps.clock.now());
    const runs = await this.#starter.start(this.#pod, view, action);
    this.#background(this.#starter.forgetOld(view));
    if (runs && !this.#preparing.signal.aborted) this.#background(this.#hooks.postStart(view));
  }

  async #remove(): Promise<void> {
    this.#removing = true;
    try {
      for (const { attempts } of this.#containers) {
        for (const { id } of attempts) await this.#deps.runtime.remove(id);
      }
      await this.#deps.files.remove(this.#pod);
    } catch (error) {
      this.#log.warn({ err: error }, "the pod's directory could not be removed yet");
      this.#event("Warning", "FailedKillPod", `error removing the pod's directory: ${messageOf(error)}`);
      this.#later(creationRetryMs(++this.#removals), () => {
        this.#removing = false;
        this.#kick();
      });
      return;
    }
    this.stop();
    this.#deps.metrics?.forgetProbes(this.ref.uid);
    this.#reporter.gone();
    this.#gone();
  }

  #report(view: PodView, actions: PodActions): void {
    this.#wake?.();
    this.#events.backingOff(actions, this.#containers);
    const nextAt = this.#ending ? undefined : this.#setup.nextAt;
    const wakes = [actions.wakeAt, nextAt, this.#reporter.look(view, actions)].filter((at) => at !== undefined);
    const at = Math.min(...wakes);
    this.#wake = Number.isFinite(at) ? this.#deps.clock.after(at - view.now, () => this.#kick()) : undefined;
  }

  #event(type: "Normal" | "Warning", reason: string, message: string, container?: ContainerView): void {
    this.#events.emit(type, reason, message, container);
  }
}
