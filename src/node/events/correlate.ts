import { toTime } from "../../clock.ts";
import type { Event } from "../../kube/types.ts";
import { LruMap } from "../lru.ts";

/*
 * What becomes of an event, decided as client-go's recorder does (tools/record, EventCorrelator): events that differ only by
 * their message are aggregated, equal ones are counted, and a source that says too much about one object is cut short.
 */

/** As many objects, groups and events as are remembered. */
const capacity = 4096;
/** So many different messages of one kind about one object, each within `aggregateMs` of the one before, become one event. */
const aggregateAt = 10;
const aggregateMs = 600_000;
/** So many writes about one object at once, and one more for each `refillMs`. */
const burst = 25;
const refillMs = 300_000;

interface Group {
  messages: Set<string>;
  lastAt: number;
}
interface Written {
  name: string;
  count: number;
  firstTimestamp: string;
}
interface Bucket {
  tokens: number;
  at: number;
}

export interface CorrelatorState {
  groups: LruMap<Group>;
  written: LruMap<Written>;
  buckets: LruMap<Bucket>;
}

export function newCorrelatorState(): CorrelatorState {
  return { groups: new LruMap(capacity), written: new LruMap(capacity), buckets: new LruMap(capacity) };
}

/**
 * `create`: `event` is new. `patch`: an event of this name was written before; `event` is what it now amounts to, and of
 * it count, lastTimestamp and message have changed. `skip`: too much was said about this object.
 */
export type EventAction = { type: "create" | "patch"; event: Event } | { type: "skip" };

/**
 * Decides, and notes in `state` what was decided.
 * @param event with count 1, its own name, and both times set to `now`
 * @param now milliseconds since the epoch
 */
export function correlate(state: CorrelatorState, event: Event, now: number): EventAction {
  const { event: grouped, key } = aggregate(state.groups, event, now);
  const action = count(state.written, grouped, key, now);
  return takeToken(state.buckets, objectKey(event), now) ? action : { type: "skip" };
}

function aggregate(groups: LruMap<Group>, event: Event, now: number): { event: Event; key: string } {
  const key = groupKey(event);
  const message = event.message ?? "";
  let group = groups.get(key);
  if (!group || now - group.lastAt > aggregateMs) group = { messages: new Set(), lastAt: now };
  group.messages.add(message);
  group.lastAt = now;
  groups.set(key, group);
  if (group.messages.size < aggregateAt) return { event, key: eventKey(event) };
  for (const oldest of group.messages) {
    group.messages.delete(oldest);
    break;
  }
  return { event: { ...event, message: `(combined from similar events): ${message}` }, key };
}

function count(written: LruMap<Written>, event: Event, key: string, now: number): EventAction {
  const before = written.get(key);
  const firstTimestamp = before?.firstTimestamp ?? event.firstTimestamp ?? toTime(now);
  const name = before?.name ?? event.metadata.name ?? "";
  const times = (before?.count ?? 0) + 1;
  written.set(key, { name, count: times, firstTimestamp });
  if (!before) return { type: "create", event };
  return { type: "patch", event: { ...event, metadata: { ...event.metadata, name }, count: times, firstTimestamp } };
}

function takeToken(buckets: LruMap<Bucket>, key: string, now: number): boolean {
  const bucket = buckets.get(key) ?? { tokens: burst, at: now };
  const tokens = Math.min(burst, bucket.tokens + Math.max(0, now - bucket.at) / refillMs);
  const enough = tokens >= 1;
  buckets.set(key, { tokens: enough ? tokens - 1 : tokens, at: now });
  return enough;
}

const join = (...parts: (string | undefined)[]): string => parts.join("\0");

/** One source, one object. */
function objectKey({ source, involvedObject: o }: Event): string {
  return join(source?.component, source?.host, o.kind, o.namespace, o.name, o.uid, o.apiVersion);
}

/** All but the message, and but the container. */
function groupKey(event: Event): string {
  return join(objectKey(event), event.type, event.reason, event.reportingComponent, event.reportingInstance);
}

function eventKey(event: Event): string {
  return join(objectKey(event), event.involvedObject.fieldPath, event.type, event.reason, event.message);
}
