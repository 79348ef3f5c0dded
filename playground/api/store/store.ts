// SPDX-License-Identifier: Apache-2.0
// The objects, one collection a resource, with one resource version counter over all of them, a bounded history for
// watches that resume, and listeners called synchronously on every change. Entries are immutable: a change makes a new
// one. What is written goes to the journal before the caller sees it.
import type { KubeObject } from '../json.ts';
import type { Change, Entry } from './change.ts';
import type { Journal } from './journal.ts';

export type Listener = (change: Change) => void;

/** Changes kept per collection for resuming watches; older ones answer 410. */
const HISTORY_LIMIT = 400;
const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`;

export class Store {
  readonly #journal: Journal;
  readonly #collections = new Map<string, Collection>();
  readonly #floor: number;
  #rv: number;

  constructor(journal: Journal) {
    this.#journal = journal;
    const state = journal.load();
    this.#rv = state.rv;
    this.#floor = state.logFloor;
    for (const row of state.objects) this.collection(row.collection).restore(entryOf(row.object, row.rv));
    for (const row of state.log) this.collection(row.collection).replay(row.type, entryOf(row.object, row.rv));
  }

  /** The version of the newest change. */
  get rv(): number {
    return this.#rv;
  }

  collection(name: string): Collection {
    let found = this.#collections.get(name);
    if (!found) {
      found = new Collection(
        name,
        (change) => this.#journal.append(name, change),
        () => ++this.#rv,
        this.#floor,
      );
      this.#collections.set(name, found);
    }
    return found;
  }

  names(): string[] {
    return [...this.#collections.keys()];
  }

  close(): void {
    this.#journal.close();
  }
}

export class Collection {
  readonly name: string;
  readonly #entries = new Map<string, Entry>();
  readonly #append: (change: Change) => void;
  readonly #nextRv: () => number;
  readonly #listeners = new Set<Listener>();
  readonly #history: Change[] = [];
  #sorted: Entry[] | undefined;
  /** Changes up to this version are forgotten. */
  #floor: number;

  constructor(name: string, append: (change: Change) => void, nextRv: () => number, floor: number) {
    this.name = name;
    this.#append = append;
    this.#nextRv = nextRv;
    this.#floor = floor;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(namespace: string, name: string): Entry | undefined {
    return this.#entries.get(keyOf(namespace, name));
  }

  /** Entries in order of namespace and name. */
  list(namespace?: string): readonly Entry[] {
    this.#sorted ??= [...this.#entries.keys()].sort(compareText).map((key) => this.#entries.get(key)!);
    return namespace === undefined ? this.#sorted : this.#sorted.filter((entry) => entry.namespace === namespace);
  }

  /** Stores `object` in place of `before` (undefined: a new one). The object is the store's from now on. */
  put(object: KubeObject, before: Entry | undefined): Entry {
    const rv = this.#nextRv();
    object.metadata.resourceVersion = String(rv);
    const entry = entryOf(object, rv);
    this.#entries.set(keyOf(entry.namespace, entry.name), entry);
    this.#sorted = undefined;
    this.#publish({ type: before ? 'MODIFIED' : 'ADDED', rv, entry, before });
    return entry;
  }

  remove(before: Entry): Entry {
    const rv = this.#nextRv();
    const object = { ...before.object, metadata: { ...before.object.metadata, resourceVersion: String(rv) } };
    const entry = entryOf(object, rv);
    this.#entries.delete(keyOf(entry.namespace, entry.name));
    this.#sorted = undefined;
    this.#publish({ type: 'DELETED', rv, entry, before });
    return entry;
  }

  /** Calls `listener` on every change from now on; the result stops that. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Changes after `rv`, or undefined when some of them are forgotten. */
  since(rv: number): Change[] | undefined {
    return rv < this.#floor ? undefined : this.#history.filter((change) => change.rv > rv);
  }

  restore(entry: Entry): void {
    this.#entries.set(keyOf(entry.namespace, entry.name), entry);
    this.#sorted = undefined;
  }

  replay(type: Change['type'], entry: Entry): void {
    const key = keyOf(entry.namespace, entry.name);
    const before = this.#history.findLast((change) => keyOf(change.entry.namespace, change.entry.name) === key)?.entry;
    this.#remember({ type, rv: entry.rv, entry, before });
  }

  #remember(change: Change): void {
    this.#history.push(change);
    if (this.#history.length > HISTORY_LIMIT) this.#floor = this.#history.shift()!.rv;
  }

  #publish(change: Change): void {
    this.#append(change);
    this.#remember(change);
    for (const listener of [...this.#listeners]) listener(change);
    change.before?.encoded.clear();
  }
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const entryOf = (object: KubeObject, rv: number): Entry => ({
  namespace: object.metadata.namespace ?? '',
  name: object.metadata.name ?? '',
  rv,
  object,
  encoded: new Map(),
});
