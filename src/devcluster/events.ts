import { randomUUID } from "node:crypto";
import { toTime } from "../clock.ts";
import type { Event } from "../kube/types.ts";
import { keyOf, type Stored } from "./objects.ts";
import { eventsResource } from "./resources.ts";
import type { Api } from "./rest/api.ts";

export interface EventText {
  type: "Normal" | "Warning";
  reason: string;
  message: string;
  component: string;
}

/** Writes an Event of the control plane's own about an object. */
export function recordEvent(api: Api, object: Stored, text: EventText): void {
  const { name, namespace = "default", uid, resourceVersion } = object.metadata;
  const ms = api.clock.now();
  const now = toTime(ms);
  // As client-go names them, by the nanosecond: Events of one second are shown in the order of their names.
  const moment = BigInt(ms) * 1_000_000n + BigInt(api.store.revision % 1_000_000);
  const eventName = `${name}.${moment.toString(16)}`;
  const event: Event = {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: eventName, namespace, uid: randomUUID(), creationTimestamp: now },
    involvedObject: { apiVersion: object.apiVersion, kind: object.kind, name, namespace, uid, resourceVersion },
    type: text.type,
    reason: text.reason,
    message: text.message,
    source: { component: text.component },
    reportingComponent: text.component,
    reportingInstance: "",
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
  };
  api.store.put(eventsResource, keyOf(namespace, eventName), event as unknown as Stored);
}

/** As kube-apiserver's --event-ttl: an hour after they were last written. */
const lifetime = 3_600_000;
/** Beyond this many the oldest go early, so that a busy day doesn't fill the memory. */
const limit = 10_000;
const sweepEvery = 60_000;

/** Lets Events expire. @returns ends it */
export function expireEvents(api: Api): () => void {
  const sweep = () => {
    const entries = api.store.list(eventsResource).sort((a, b) => a.revision - b.revision);
    const surplus = entries.length - limit;
    const horizon = api.clock.now() - lifetime;
    for (const [i, { key, object }] of entries.entries()) {
      const last = (object as { lastTimestamp?: string }).lastTimestamp ?? object.metadata.creationTimestamp;
      if (i < surplus || Date.parse(last) < horizon) api.store.remove(eventsResource, key);
    }
    cancel = api.clock.after(sweepEvery, sweep);
  };
  let cancel = api.clock.after(sweepEvery, sweep);
  return () => cancel();
}
