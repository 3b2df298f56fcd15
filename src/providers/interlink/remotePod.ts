import { type Clock, sleep } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import { onAbort } from "../../kube/abort.ts";
import type { EventSink } from "../../kube/events.ts";
import type { PodUpdate } from "../../kube/podUpdate.ts";
import { backoffMs } from "../../kube/retry.ts";
import { type Pod, type PodRef, type PodStatus, podRef } from "../../kube/types.ts";
import type { Eviction } from "../../kubelet/eviction.ts";
import { referencedObjects } from "../../kubelet/references.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { InterlinkClient } from "./client.ts";
import { AnswerError } from "./http.ts";
import { buildPayload, type PayloadOptions } from "./payload.ts";
import type { PodRecord, PodRecords } from "./records.ts";
import {
  endedStatus,
  evictedStatus,
  isFinal,
  knows,
  refusedStatus,
  type StatusInput,
  statusOf,
  waitingStatus,
} from "./status.ts";
import { jobAnnotation } from "./wire/extension.ts";
import type { WirePodStatus } from "./wire/types.ts";

export interface RemotePodDeps extends PayloadOptions {
  client: InterlinkClient;
  records: PodRecords;
  events: EventSink;
  clock: Clock;
  log: Logger;
  /** Aborts when the Provider stops. */
  stopped: AbortSignal;
  /** The far end of the chain is ours, and takes calls of the extension. */
  extended(): boolean;
  report(update: PodUpdate): void;
  /** Nothing is left of the pod, here or there. */
  gone(): void;
}

type Step = "look" | "create" | "update" | "evict" | "delete" | "vanish";

/** Answers that say that this pod is refused, and no other try will be taken. All others may pass. */
const refusals = new Set([400, 409, 413, 422]);
const retries = { initialMs: 1000, maxMs: 60_000 };
/** A far end that is asked for a pod which it was given says nothing of it: so often, and for so long, until it is lost. */
const lostAfter = { answers: 3, ms: 60_000 };
/** Above the grace period: what the far end needs to end a pod and to answer. */
const deleteAnswerMs = 60_000;

/**
 * One pod at the far end. One step after the other, each tried until it holds: what is to be done follows from what was
 * asked for and from what is known, so that a restart goes on where the agent before was.
 */
export class RemotePod {
  readonly ref: PodRef;
  readonly #deps: RemotePodDeps;
  readonly #record: PodRecord;
  #told = false;
  #toldJob: string | undefined;
  #looked = false;
  #refused = false;
  /** What travelled with the pod has changed since. */
  #stale = false;
  #following = false;
  #cancelRenewal = () => {};
  /** Aborts when nothing is left of the pod. */
  readonly #over = new AbortController();
  /** When the pod must be gone, ms; undefined: nobody asked. */
  #deadline: number | undefined;
  #eviction: Eviction | undefined;
  #evicted = false;
  #missing: { answers: number; since: number } | undefined;
  #failures = 0;
  /** Ends what the loop waits for, because something was asked for. */
  #wake = new AbortController();

  constructor(deps: RemotePodDeps, record: PodRecord) {
    this.#deps = deps;
    this.#record = record;
    this.ref = podRef(record.pod);
    this.#evicted = record.status?.reason !== undefined && isFinal(record.status) && record.removed === true;
    if (record.status) this.#tell(record.status);
    else this.#tell(waitingStatus(record.pod, { reason: "ContainerCreating" }, this.#input()));
    if (record.jobID !== undefined) {
      this.#follow();
      // Nobody watched while the agent was away; tokens have aged.
      this.#stale = !isFinal(record.status);
    }
    onAbort(deps.stopped, () => this.#cancelRenewal());
    void this.#loop();
  }

  get pod(): Pod {
    return this.#record.pod;
  }

  get status(): PodStatus {
    return this.#record.status!;
  }

  /** The far end turned out to be one of ours: what waited for that is done. */
  extended(): void {
    if (this.#stale) this.#rouse();
  }

  /** Asked about in the next status call. */
  get isFollowed(): boolean {
    if (this.#deadline !== undefined || (this.#eviction && !this.#evicted)) return false;
    return this.#record.jobID !== undefined && !this.#record.removed && !isFinal(this.status);
  }

  /** The pod as the far end is asked about it: interLink's API server looks at its phase, plugins at its JobID. */
  get question(): Pod {
    const { pod, jobID, status } = this.#record;
    const annotations = { ...pod.metadata?.annotations, ...(jobID !== undefined && { [jobAnnotation]: jobID }) };
    return { ...pod, metadata: { ...pod.metadata, annotations }, status: { phase: status?.phase ?? "Pending" } };
  }

  /** Says what is known once more: the object's writer may have missed it. */
  update(pod: Pod): void {
    const words = ({ metadata }: Pod) => {
      const { [jobAnnotation]: _, ...annotations } = metadata?.annotations ?? {};
      return JSON.stringify([metadata?.labels, annotations]);
    };
    const isOther = words(pod) !== words(this.#record.pod);
    this.#record.pod = pod;
    if (isOther) this.#changed();
    this.#report();
  }

  delete(gracePeriodSeconds: number): void {
    const deadline = this.#deps.clock.now() + gracePeriodSeconds * 1000;
    if (this.#deadline !== undefined && deadline >= this.#deadline) return;
    this.#deadline = deadline;
    this.#rouse();
  }

  evict(eviction: Eviction): void {
    if (this.#eviction || this.#deadline !== undefined || isFinal(this.status)) return;
    this.#eviction = eviction;
    this.#rouse();
  }

  /** What the far end says; undefined: it answered, and not about this pod. */
  observe(reply: WirePodStatus | undefined): void {
    if (!this.isFollowed) return;
    if (knows(reply) && reply) {
      this.#missing = undefined;
      this.#tell(statusOf(this.pod, reply, this.#input()));
      return;
    }
    const now = this.#deps.clock.now();
    this.#missing ??= { answers: 0, since: now };
    this.#missing.answers++;
    const lost = this.#missing.answers >= lostAfter.answers && now - this.#missing.since >= lostAfter.ms;
    if (!lost && !reply?.hostlet?.unknown) return;
    const message = `The interLink plugin behind ${this.#deps.client.url} knows nothing of the pod, which it had been given`;
    this.#record.removed = true;
    this.#tell(endedStatus(this.pod, message, this.#input()));
  }

  #next(): Step | undefined {
    const { sent, jobID, removed } = this.#record;
    if (this.#deadline !== undefined) return sent && !removed ? "delete" : "vanish";
    if (this.#eviction && !this.#evicted) return "evict";
    if (this.#stale && jobID !== undefined && !isFinal(this.#record.status) && this.#deps.extended()) return "update";
    if (this.#refused || this.#evicted || jobID !== undefined || isFinal(this.#record.status)) return undefined;
    return sent && !this.#looked ? "look" : "create";
  }

  async #loop(): Promise<void> {
    const { stopped, log } = this.#deps;
    while (!stopped.aborted) {
      const wake = AbortSignal.any([this.#wake.signal, stopped]);
      const step = this.#next();
      try {
        if (!step) await new Promise<void>((resolve) => onAbort(wake, resolve));
        else {
          await this.#do(step, wake);
          this.#failures = 0;
          if (step === "vanish") return;
        }
      } catch (error) {
        if (stopped.aborted) return;
        if (wake.aborted) continue;
        const delay = backoffMs(++this.#failures, error, retries);
        log.warn(
          { pod: `${this.ref.namespace}/${this.ref.name}`, step, err: error, delay },
          "a pod's step failed; it is tried again",
        );
        this.#complain(step!, error as Error);
        await this.#pause(delay, wake);
      } finally {
        if (this.#wake.signal.aborted) this.#wake = new AbortController();
      }
    }
  }

  async #do(step: Step, wake: AbortSignal): Promise<void> {
    if (step === "look") await this.#look(wake);
    else if (step === "create") await this.#create(wake);
    else if (step === "update") await this.#update(wake);
    else if (step === "evict") await this.#evict();
    else if (step === "delete") await this.#delete(wake);
    else this.#vanish();
  }

  /** An earlier create had no answer that counts: the far end says whether it has the pod. */
  async #look(wake: AbortSignal): Promise<void> {
    const replies = await this.#deps.client.status([this.question], wake);
    const reply = replies.find(({ UID }) => UID === this.ref.uid);
    this.#looked = true;
    if (!knows(reply) || !reply) return;
    this.#created(reply.JID || this.ref.uid);
    this.observe(reply);
  }

  async #create(wake: AbortSignal): Promise<void> {
    const { client, stopped } = this.#deps;
    const { request, refreshAt } = await buildPayload(this.pod, this.#deps, wake);
    wake.throwIfAborted();
    this.#record.sent = true;
    this.#save();
    try {
      // Not given up by a deletion: what was sent must be known to have failed, or be ended.
      const reply = await client.create(request, stopped);
      this.#created(reply.PodJID || this.ref.uid);
      this.#renewAt(refreshAt);
    } catch (error) {
      if (!(error instanceof AnswerError) || !refusals.has(error.status)) {
        this.#looked = false;
        throw error;
      }
      this.#refused = true;
      this.#record.removed = true;
      const message = `error creating pod (HTTP ${error.status}): ${error.body}`;
      this.#event("Warning", "Failed", message);
      this.#tell(refusedStatus(this.pod, message, this.#input()));
    }
  }

  #created(jobID: string): void {
    this.#record.jobID = jobID;
    this.#follow();
    this.#tell(this.#record.status ?? waitingStatus(this.pod, { reason: "ContainerCreating" }, this.#input()));
  }

  /** What travelled with the pod is another one now: an end of ours brings its volumes up to date. */
  async #update(wake: AbortSignal): Promise<void> {
    this.#stale = false;
    const { request, refreshAt } = await buildPayload(this.pod, this.#deps, wake);
    const { jobID } = this.#record;
    const annotations = {
      ...request.pod.metadata?.annotations,
      ...(jobID !== undefined && { [jobAnnotation]: jobID }),
    };
    await this.#deps.client.update(
      { ...request, pod: { ...request.pod, metadata: { ...request.pod.metadata, annotations } } },
      wake,
    );
    this.#renewAt(refreshAt);
  }

  /** From the create on, until nothing is left to bring up to date. */
  #follow(): void {
    if (this.#following) return;
    this.#following = true;
    const signal = AbortSignal.any([this.#over.signal, this.#deps.stopped]);
    for (const { kind, namespace, name } of referencedObjects(this.pod)) {
      this.#deps.objects.watch(kind, namespace, name, () => this.#changed(), signal);
    }
  }

  #renewAt(at: number | undefined): void {
    this.#cancelRenewal();
    if (at === undefined) return;
    const { clock } = this.#deps;
    this.#cancelRenewal = clock.after(Math.max(1000, at - clock.now()), () => this.#changed());
  }

  #changed(): void {
    if (this.#record.jobID === undefined || this.#deps.stopped.aborted) return;
    this.#stale = true;
    this.#rouse();
  }

  async #evict(): Promise<void> {
    const eviction = this.#eviction!;
    const { client, stopped } = this.#deps;
    if (this.#record.jobID !== undefined && this.#deps.extended()) {
      await client.evict(this.question, eviction, stopped);
      this.#evicted = true;
      return; // it ends in its own time, and says so
    }
    let last: WirePodStatus | undefined;
    if (this.#record.sent) last = await this.#end(eviction.gracePeriodSeconds, stopped);
    this.#evicted = true;
    this.#record.removed = true;
    const input = this.#input();
    const previous = last && knows(last) ? statusOf(this.pod, last, input) : input.previous;
    this.#tell(evictedStatus(this.pod, eviction, { ...input, previous }));
  }

  async #delete(wake: AbortSignal): Promise<void> {
    const grace = Math.max(0, Math.ceil((this.#deadline! - this.#deps.clock.now()) / 1000));
    const last = await this.#end(grace, wake);
    if (last && knows(last)) {
      const status = statusOf(this.pod, last, this.#input());
      if (!isFinal(this.#record.status)) this.#tell(status);
    }
    this.#record.removed = true;
  }

  /** @returns what the far end said of it at last */
  async #end(graceSeconds: number, signal: AbortSignal): Promise<WirePodStatus | undefined> {
    const { client } = this.#deps;
    const { question } = this;
    const pod = { ...question, metadata: { ...question.metadata, deletionGracePeriodSeconds: graceSeconds } };
    try {
      const last = await client.delete(pod, signal, graceSeconds * 1000 + deleteAnswerMs);
      if (last) return last;
    } catch (error) {
      if (error instanceof AnswerError && error.status === 404) return undefined;
      throw error;
    }
    const replies = await client.status([question], signal).catch(() => []);
    return replies.find(({ UID }) => UID === this.ref.uid);
  }

  #vanish(): void {
    this.#over.abort();
    this.#cancelRenewal();
    const message = "The pod was deleted before the end of its containers was known";
    if (!isFinal(this.#record.status)) this.#tell(endedStatus(this.pod, message, this.#input()));
    this.#deps.records.remove(this.ref.uid);
    this.#deps.gone();
    this.#deps.report({ pod: this.ref, status: this.status, gone: true });
  }

  /** What went wrong, where the pod's author looks. */
  #complain(step: Step, error: Error): void {
    if (error instanceof HostletError && error.code === "PodInvalid") {
      this.#refused = true;
      this.#event("Warning", "Failed", error.message);
      this.#tell(refusedStatus(this.pod, error.message, this.#input()));
      return;
    }
    if (step === "update") {
      this.#stale = true;
      return;
    }
    if (step === "delete" || step === "evict") {
      this.#event("Warning", "FailedKillPod", `error killing pod: ${error.message}; it is tried again until it holds`);
      return;
    }
    const mine = error instanceof HostletError;
    const reason = mine ? (error.reason ?? "ContainerCreating") : "ProviderFailed";
    const what =
      error instanceof AnswerError ? `error creating pod (HTTP ${error.status}): ${error.body}` : error.message;
    this.#event("Warning", mine && !error.reason ? "FailedMount" : "Failed", what);
    this.#tell(waitingStatus(this.pod, { reason, message: what }, this.#input()));
  }

  /** Until the delay is over, something is asked for, or an object that was missing may be there. */
  async #pause(delay: number, wake: AbortSignal): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([wake, over.signal]);
    if (!this.#record.sent) {
      for (const { kind, namespace, name } of referencedObjects(this.pod)) {
        this.#deps.objects.watch(kind, namespace, name, () => over.abort(), signal);
      }
    }
    await sleep(this.#deps.clock, delay, signal).catch(() => {});
    over.abort();
  }

  #rouse(): void {
    this.#wake.abort();
  }

  #input(): StatusInput {
    const { clock, hostIP } = this.#deps;
    return { hostIP, now: clock.now(), startedAt: this.#record.startedAt, previous: this.#record.status };
  }

  #event(type: "Normal" | "Warning", reason: string, message: string): void {
    this.#deps.events.emit({ pod: this.ref, type, reason, message });
  }

  /** Remembers and reports what is new. */
  #tell(status: PodStatus): void {
    const before = this.#record.status;
    const { jobID } = this.#record;
    const isNews = JSON.stringify([before, this.#toldJob]) !== JSON.stringify([status, jobID]);
    this.#record.status = status;
    if (!isNews && this.#told) return;
    this.#told = true;
    this.#toldJob = jobID;
    this.#save();
    this.#report();
  }

  #report(): void {
    const { jobID } = this.#record;
    const { status } = this;
    const annotations = jobID === undefined ? {} : { annotations: { [jobAnnotation]: jobID } };
    this.#deps.report({ pod: this.ref, status, gone: false, ...annotations });
  }

  #save(): void {
    this.#deps.records.write(this.ref.uid, this.#record);
  }
}
