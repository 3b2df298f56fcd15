import type { Stored } from "../objects.ts";
import { Change, Entry } from "./entry.ts";
import type { Journal, LiveEntry } from "./journal.ts";

export interface ResourceKey {
  /** `pods`, `leases.coordination.k8s.io` */
  id: string;
  /** Whether it outlives the process. */
  journaled: boolean;
}

interface Shelf {
  journaled: boolean;
  entries: Map<string, Entry>;
  /** The last changes, oldest first: what a watch may resume from. */
  ring: Change[];
  /** Changes up to this revision may be missing from the ring. */
  compacted: number;
  listeners: Set<(change: Change) => void>;
}

/** Changes kept of each resource; a watch that asks for older ones gets 410 and lists again. */
const ringSize = 1024;

/**
 * All objects, in memory. Synchronous: who reads and writes within one turn of the event loop can't be overtaken.
 * One counter of revisions for all resources, as etcd has it.
 */
export class Store {
  readonly #shelves = new Map<string, Shelf>();
  readonly #journal: Journal | undefined;
  /** Changes before this process are forgotten. */
  readonly #base: number;
  #revision: number;

  /** @param revision where the counter goes on */
  constructor(revision = 1, journal?: Journal) {
    this.#base = revision;
    this.#revision = revision;
    this.#journal = journal;
    journal?.compactFrom(() => this.#journaled());
  }

  get revision(): number {
    return this.#revision;
  }

  get(resource: ResourceKey, key: string): Entry | undefined {
    return this.#shelf(resource).entries.get(key);
  }

  /** In key order. @param namespace undefined for all */
  list(resource: ResourceKey, namespace?: string): Entry[] {
    const { entries } = this.#shelf(resource);
    const prefix = namespace === undefined ? "" : `${namespace}/`;
    const found = [...entries.values()].filter((entry) => entry.key.startsWith(prefix));
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  count(resource: ResourceKey): number {
    return this.#shelf(resource).entries.size;
  }

  /** Creates or replaces, under a new resourceVersion. The object belongs to the store from here on. */
  put(resource: ResourceKey, key: string, object: Stored): Entry {
    const shelf = this.#shelf(resource);
    const previous = shelf.entries.get(key);
    const entry = this.#version(key, object);
    if (resource.journaled) this.#journal?.put(resource.id, entry);
    else this.#journal?.reserve(entry.revision);
    shelf.entries.set(key, entry);
    this.#publish(shelf, new Change(previous ? "MODIFIED" : "ADDED", entry, previous));
    return entry;
  }

  /** Puts back what the journal held, without telling anybody. */
  restore(resource: ResourceKey, entry: Entry): void {
    this.#shelf(resource).entries.set(entry.key, entry);
  }

  /** @returns the last state under the deletion's resourceVersion, undefined where there was nothing */
  remove(resource: ResourceKey, key: string): Entry | undefined {
    const shelf = this.#shelf(resource);
    const previous = shelf.entries.get(key);
    if (!previous) return undefined;
    const entry = this.#version(key, previous.object);
    if (resource.journaled) this.#journal?.remove(resource.id, entry);
    else this.#journal?.reserve(entry.revision);
    shelf.entries.delete(key);
    this.#publish(shelf, new Change("DELETED", entry, previous));
    return entry;
  }

  /** The changes after `revision`; undefined where some of them are forgotten. */
  changesSince(resource: ResourceKey, revision: number): Change[] | undefined {
    const shelf = this.#shelf(resource);
    if (revision < shelf.compacted) return undefined;
    return shelf.ring.filter((change) => change.entry.revision > revision);
  }

  /** Called synchronously with every later change. @returns ends it */
  subscribe(resource: ResourceKey, listener: (change: Change) => void): () => void {
    const { listeners } = this.#shelf(resource);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Forgets all past changes, so that every resourceVersion but the present one has expired. */
  compact(): void {
    for (const shelf of this.#shelves.values()) {
      shelf.ring = [];
      shelf.compacted = this.#revision;
    }
  }

  #journaled(): LiveEntry[] {
    const shelves = [...this.#shelves].filter(([, { journaled }]) => journaled);
    return shelves.flatMap(([resource, { entries }]) => [...entries.values()].map((entry) => ({ resource, entry })));
  }

  #version(key: string, object: Stored): Entry {
    this.#revision++;
    const metadata = { ...object.metadata, resourceVersion: String(this.#revision) };
    return new Entry(key, this.#revision, { ...object, metadata });
  }

  #publish(shelf: Shelf, change: Change): void {
    shelf.ring.push(change);
    if (shelf.ring.length > ringSize * 1.25) {
      const dropped = shelf.ring.splice(0, shelf.ring.length - ringSize);
      shelf.compacted = dropped[dropped.length - 1]?.entry.revision ?? shelf.compacted;
    }
    for (const listener of shelf.listeners) listener(change);
  }

  #shelf({ id, journaled }: ResourceKey): Shelf {
    let shelf = this.#shelves.get(id);
    if (!shelf) {
      shelf = { journaled, entries: new Map(), ring: [], compacted: this.#base, listeners: new Set() };
      this.#shelves.set(id, shelf);
    }
    return shelf;
  }
}
