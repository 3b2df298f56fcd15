import type { Stored } from "../objects.ts";

/** One version of one object. Its JSON is made once, for whoever reads it: lists, gets, watches, the journal. */
export class Entry {
  readonly key: string;
  readonly revision: number;
  readonly object: Stored;
  #json: string | undefined;

  constructor(key: string, revision: number, object: Stored) {
    this.key = key;
    this.revision = revision;
    this.object = object;
  }

  get json(): string {
    this.#json ??= JSON.stringify(this.object);
    return this.#json;
  }
}

export type ChangeType = "ADDED" | "MODIFIED" | "DELETED";

/** One write, as watchers learn of it. */
export class Change {
  readonly type: ChangeType;
  /** What is there now; of a deletion the last state, with the deletion's resourceVersion. */
  readonly entry: Entry;
  /** What was there before; absent when it was created. */
  readonly previous: Entry | undefined;
  readonly #frames = new Map<ChangeType, Buffer>();

  constructor(type: ChangeType, entry: Entry, previous: Entry | undefined) {
    this.type = type;
    this.entry = entry;
    this.previous = previous;
  }

  /** The watch event's bytes, shared by all watchers. To a watcher with a selector a change may look like another type. */
  frame(type: ChangeType): Buffer {
    let frame = this.#frames.get(type);
    if (!frame) {
      frame = Buffer.from(`{"type":"${type}","object":${this.entry.json}}\n`);
      this.#frames.set(type, frame);
    }
    return frame;
  }
}
