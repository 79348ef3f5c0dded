// SPDX-License-Identifier: Apache-2.0
//
// What users of the engine see: keyed collections that change in batches, indexes over them, and the handle by which
// a derived item reads other collections so that the engine knows what it depends on.

/** One item of a collection before and after a batch; `undefined` where it did not exist. */
export interface Change<T> {
  readonly key: string;
  readonly before: T | undefined;
  readonly after: T | undefined;
}

export type Listener<T> = (changes: readonly Change<T>[]) => void;

/** A map from key to value that only its engine changes. Between batches all collections of a graph agree. */
export interface Collection<T> {
  readonly name: string;
  readonly size: number;
  get(key: string): T | undefined;
  /** In no particular order. */
  entries(): Iterable<[string, T]>;
  values(): Iterable<T>;
  /** The content as of now, in a map that never changes. Costs a copy at the next change, and only if asked for. */
  snapshot(): ReadonlyMap<string, T>;
  /** Called after each batch that changed something, once, with what it changed. Returns the way to stop. */
  subscribe(listener: Listener<T>): () => void;
}

/** A collection that the outside world edits. */
export interface Source<T> extends Collection<T> {
  set(key: string, value: T): void;
  delete(key: string): void;
  /** Makes the content exactly this, as after a fresh list from an API server. */
  replace(entries: Iterable<readonly [string, T]>): void;
}

/** Items of a collection under keys computed from them; an item may stand under several, or none. */
export interface Index<T> {
  readonly name: string;
  /** The items under `key`, ordered by their own keys. The array never changes. */
  lookup(key: string): readonly T[];
  keys(): Iterable<string>;
}

/**
 * Reads other collections on behalf of the item being computed. What was read is remembered, and the item is computed
 * again when, and only when, that changes.
 */
export interface Fetch {
  get<T>(from: Collection<T>, key: string): T | undefined;
  lookup<T>(from: Index<T>, key: string): readonly T[];
  /** Everything: the item depends on every change of the collection. */
  all<T>(from: Collection<T>): ReadonlyMap<string, T>;
}

export type Equals<T> = (a: T, b: T) => boolean;

/** What the engine did for one collection since the start. */
export interface CollectionStats {
  readonly name: string;
  readonly size: number;
  /** Calls of the deriving function. */
  readonly computed: number;
  /** Items that came out different. */
  readonly changed: number;
}

/** One collection or index of the graph, with what it is made from. */
export interface NodeDescription {
  readonly name: string;
  readonly kind: 'source' | 'constant' | 'derived' | 'index';
  /** Items; of an index, keys. */
  readonly size: number;
  readonly computed: number;
  readonly changed: number;
  /** Names of what it is computed over. */
  readonly inputs: readonly string[];
  /** Names of what its items read while they were computed, besides. */
  readonly reads: readonly string[];
}
