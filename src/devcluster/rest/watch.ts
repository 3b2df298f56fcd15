import { randomInt } from "node:crypto";
import type { Exchange } from "../http/exchange.ts";
import type { ResourceType } from "../resources.ts";
import { invalidObject, type StatusError } from "../status.ts";
import type { Change, ChangeType, Entry } from "../store/entry.ts";
import type { Api } from "./api.ts";
import { parseRevision, tooOld } from "./list.ts";
import { apiVersion } from "./read.ts";
import type { Selection } from "./selection.ts";

/** How one event becomes bytes: the shared JSON, or a Table of one row. */
export interface Framing {
  contentType: string;
  change(type: ChangeType, change: Change): Uint8Array;
  initial(entry: Entry): Uint8Array;
}

export const jsonFraming: Framing = {
  contentType: "application/json",
  change: (type, change) => change.frame(type),
  initial: (entry) => Buffer.from(`{"type":"ADDED","object":${entry.json}}\n`),
};

const bookmarkEvery = 60_000;

/**
 * Streams changes until the client goes, `timeoutSeconds` are over, or the server stops. The past comes first: from the
 * given resourceVersion on, or all that is there where none is given.
 */
export function watch(api: Api, resource: ResourceType, select: Selection, exchange: Exchange, framing: Framing): void {
  const { query } = exchange;
  // Who has gone already can't go once more, and would be sent changes for ever.
  if (exchange.signal.aborted) return;
  if (query.get("sendInitialEvents") === "true") {
    const options = { group: "meta.k8s.io", plural: "listoptions", kind: "ListOptions" };
    const message = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
    throw invalidObject(options, "", [{ field: "sendInitialEvents", reason: "FieldValueForbidden", message }]);
  }
  const since = parseRevision(query.get("resourceVersion"));
  const resumed = since === undefined || since === 0 ? [] : resume(api, resource, since);
  exchange.start(framing.contentType);
  if (!Array.isArray(resumed)) {
    exchange.write(Buffer.from(`${JSON.stringify({ type: "ERROR", object: resumed.status })}\n`));
    exchange.end();
    return;
  }
  const send = (change: Change) => {
    const type = seenAs(change, select);
    if (type) exchange.write(framing.change(type, change));
  };
  if (!since) {
    for (const entry of api.store.list(resource, select.namespace)) {
      if (select.matches(entry.object)) exchange.write(framing.initial(entry));
    }
  }
  resumed.forEach(send);
  const unsubscribe = api.store.subscribe(resource, send);
  const bookmark = () => exchange.write(bookmarkFrame(api, resource));
  const bookmarks = ["true", "1"].includes(query.get("allowWatchBookmarks") ?? "");
  let cancelBookmark = () => {};
  const nextBookmark = () => {
    cancelBookmark = api.clock.after(bookmarkEvery, () => {
      bookmark();
      nextBookmark();
    });
  };
  if (bookmarks) nextBookmark();
  const cancelTimeout = api.clock.after(timeout(query), () => {
    if (bookmarks) bookmark();
    exchange.end();
  });
  exchange.signal.addEventListener("abort", () => {
    unsubscribe();
    cancelBookmark();
    cancelTimeout();
  });
}

/** A version of the future is one that an earlier cluster of ours gave out: the client must list again. */
function resume(api: Api, resource: ResourceType, since: number): Change[] | StatusError {
  const changes = since > api.store.revision ? undefined : api.store.changesSince(resource, since);
  return changes ?? tooOld(since, api.store.revision);
}

/** What a change is to who sees only the selected objects; undefined where it is nothing. */
function seenAs(change: Change, select: Selection): ChangeType | undefined {
  const { type, entry, previous } = change;
  const now = type !== "DELETED" && select.matches(entry.object);
  const before = previous !== undefined && select.matches(previous.object);
  if (now) return before ? "MODIFIED" : "ADDED";
  return before ? "DELETED" : undefined;
}

function bookmarkFrame(api: Api, resource: ResourceType): Buffer {
  const object = {
    kind: resource.kind,
    apiVersion: apiVersion(resource),
    metadata: { resourceVersion: String(api.store.revision), creationTimestamp: null },
  };
  return Buffer.from(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
}

/** As asked for; otherwise half an hour and more, spread so that not all come back at once. */
function timeout(query: URLSearchParams): number {
  const seconds = Number(query.get("timeoutSeconds") ?? 0);
  return seconds > 0 ? seconds * 1000 : randomInt(1_800_000, 3_600_000);
}
