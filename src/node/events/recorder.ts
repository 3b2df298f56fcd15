import { randomUUID } from "node:crypto";
import { toTime } from "../../clock.ts";
import type { EventSink, PodEvent } from "../../kube/events.ts";
import type { Event, ObjectReference } from "../../kube/types.ts";
import { correlate, newCorrelatorState } from "./correlate.ts";
import { EventWriter, type EventWriterOptions } from "./writer.ts";

export interface EventRecorderOptions extends EventWriterOptions {
  /** The node: `source.host`. */
  host: string;
  /** Who says it: `source.component`. @default "hostlet" */
  component?: string;
}

export type ObjectEvent = Pick<PodEvent, "type" | "reason" | "message">;

/** An EventSink that writes core/v1 Events to the API server, correlated as client-go's recorder does it. */
export interface EventRecorder extends EventSink {
  /** An Event about anything. One about an object without a namespace is stored in `default`. */
  record(about: ObjectReference, event: ObjectEvent): void;
  /** Resolves once everything so far is written or given up, at the latest after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>;
  /** Gives up what is not written yet; takes no more. Idempotent. */
  stop(): void;
}

/** What events.k8s.io allows as `note`, which is the same field. */
const longestMessage = 1024;
const longestName = 253;

export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { clock, host, component = "hostlet" } = options;
  const state = newCorrelatorState();
  const writer = new EventWriter(options);
  let lastName = 0n;
  const nextName = (object: string, now: number): string => {
    const time = BigInt(now) * 1_000_000n;
    lastName = time > lastName ? time : lastName + 1n;
    return eventName(object, lastName);
  };
  const record = (about: ObjectReference, { type, reason, message }: ObjectEvent): void => {
    const now = clock.now();
    const time = toTime(now);
    const event: Event = {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: nextName(about.name ?? "", now), namespace: about.namespace || "default" },
      involvedObject: about,
      type,
      reason,
      message: cut(message),
      source: { component, host },
      reportingComponent: component,
      reportingInstance: host,
      count: 1,
      firstTimestamp: time,
      lastTimestamp: time,
    };
    const action = correlate(state, event, now);
    if (action.type !== "skip") writer.add(action);
  };
  return {
    record,
    emit: ({ pod, fieldPath, ...event }) => record(podReference(pod, fieldPath), event),
    flush: (timeoutMs) => writer.flush(timeoutMs),
    stop: () => writer.stop(),
  };
}

function podReference({ namespace, name, uid }: PodEvent["pod"], fieldPath: string | undefined): ObjectReference {
  return { apiVersion: "v1", kind: "Pod", namespace, name, uid, ...(fieldPath ? { fieldPath } : {}) };
}

/** As client-go names them; a name that would be too long is replaced by a UUID, as there. */
function eventName(object: string, nanoseconds: bigint): string {
  const name = `${object}.${nanoseconds.toString(16)}`;
  return name.length > longestName ? randomUUID() : name;
}

function cut(message: string): string {
  return message.length > longestMessage ? `${message.slice(0, longestMessage - 3)}...` : message;
}
