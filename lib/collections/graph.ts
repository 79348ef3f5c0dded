// SPDX-License-Identifier: Apache-2.0
//
// The incremental engine: a graph of collections in which a change recomputes what depends on it and nothing else.
//
//   const graph = new Graph(onError)
//   const pods = graph.source<Pod>('pods')
//   const byNode = graph.index('pods by node', pods, (pod) => [pod.node])
//   const names = graph.map('names', nodes, (node, key, fetch) => fetch.lookup(byNode, key).map((p) => p.name))
//
// Edits inside `batch` are propagated once, when it ends; edits outside are batches of one. Everything is synchronous,
// so whoever reads between batches sees one consistent state of all collections.

import { isDeepStrictEqual } from 'node:util';
import { AmbitError } from '#lib/kit/error.ts';
import type { Collection, CollectionStats, Equals, Fetch, Index, NodeDescription, Source } from './collection.ts';
import { Derived } from './derived.ts';
import { Lookup } from './lookup.ts';
import type { Node, Notifier, Placed, Scheduler, Upstream } from './node.ts';
import { ConstantSource, LiveSource } from './source.ts';

/** Called with a deriving function's error; the item keeps its last value. */
export type OnError = (collection: string, key: string, error: unknown) => void;

export interface DerivedOptions<T> {
  /** Default: deep equality. Equal results stop the propagation. */
  readonly equals?: Equals<T>;
}

interface Counted {
  readonly name: string;
  readonly size: number;
  readonly changedCount: number;
  readonly computedCount?: number;
}

interface Follower {
  follow(upstream: Upstream & Placed): void;
  invalidated(key: string): void;
}

export class Graph implements Scheduler {
  readonly #onError: OnError;
  readonly #nodes: Node[] = [];
  readonly #stores: Counted[] = [];
  #depth = 0;
  #flushing = false;
  #notifying = false;
  /** Lowest node that waits, for the walk to start at. */
  #lowest = Number.POSITIVE_INFINITY;
  #unheard = new Set<Notifier>();
  #version = 0;

  constructor(onError: OnError) {
    this.#onError = onError;
  }

  /** Number of batches that have been propagated. */
  get version(): number {
    return this.#version;
  }

  /** A collection the outside edits. @param equals default: identity, so that a new object is a change */
  source<T>(name: string, equals: Equals<T> = Object.is): Source<T> {
    return this.#add(new LiveSource<T>(name, this.#nodes.length, this, equals));
  }

  /** A collection that never changes. */
  constant<T>(name: string, entries: Iterable<readonly [string, T]>): Collection<T> {
    return this.#add(new ConstantSource<T>(name, this.#nodes.length, this, Object.is, entries));
  }

  /** One value or none for each item of `over`, under the same key. */
  map<T, U>(
    name: string,
    over: Collection<T>,
    compute: (value: T, key: string, fetch: Fetch) => U | undefined,
    options?: DerivedOptions<U>,
  ): Collection<U> {
    return this.flatMap(
      name,
      over,
      (value, key, fetch) => {
        const out = compute(value, key, fetch);
        return out === undefined ? [] : [[key, out]];
      },
      options,
    );
  }

  filter<T>(name: string, over: Collection<T>, keep: (value: T, key: string, fetch: Fetch) => boolean): Collection<T> {
    return this.map(name, over, (value, key, fetch) => (keep(value, key, fetch) ? value : undefined), {
      equals: Object.is,
    });
  }

  /** Any number of values for each item of `over`. Where two items put out one key, the item first by key wins. */
  flatMap<T, U>(
    name: string,
    over: Collection<T>,
    compute: (value: T, key: string, fetch: Fetch) => readonly (readonly [string, U])[],
    options?: DerivedOptions<U>,
  ): Collection<U> {
    const node = this.#derived(name, options, (key, fetch) => {
      const value = over.get(key);
      return value === undefined ? [] : compute(value, key, fetch);
    });
    this.#feed(node, over);
    return node;
  }

  /** One value or none for each key that either side has. */
  join<L, R, U>(
    name: string,
    left: Collection<L>,
    right: Collection<R>,
    compute: (left: L | undefined, right: R | undefined, key: string, fetch: Fetch) => U | undefined,
    options?: DerivedOptions<U>,
  ): Collection<U> {
    const node = this.#derived(name, options, (key, fetch) => {
      const l = left.get(key);
      const r = right.get(key);
      const out = l === undefined && r === undefined ? undefined : compute(l, r, key, fetch);
      return out === undefined ? [] : [[key, out]];
    });
    this.#feed(node, left);
    this.#feed(node, right);
    return node;
  }

  /** The items of all of them. Where two have one key, the first in the list wins. */
  union<T>(name: string, parts: readonly Collection<T>[], options?: DerivedOptions<T>): Collection<T> {
    const node = this.#derived<T>(name, options ?? { equals: Object.is }, (key) => {
      for (const part of parts) {
        const value = part.get(key);
        if (value !== undefined) return [[key, value]];
      }
      return [];
    });
    for (const part of parts) this.#feed(node, part);
    return node;
  }

  /** Items of `over` under the keys that `keysOf` gives them. */
  index<T>(name: string, over: Collection<T>, keysOf: (value: T, key: string) => Iterable<string>): Index<T> {
    const node = new Lookup(name, this.#nodes.length, this, internals(over), keysOf);
    this.#nodes.push(node);
    this.edit(() => this.schedule(node));
    return node;
  }

  /** One value or none for each key of an index, from all items under it. */
  group<T, U>(
    name: string,
    index: Index<T>,
    compute: (members: readonly T[], key: string, fetch: Fetch) => U | undefined,
    options?: DerivedOptions<U>,
  ): Collection<U> {
    const node = this.#derived(name, options, (key, fetch) => {
      const members = index.lookup(key);
      const out = members.length === 0 ? undefined : compute(members, key, fetch);
      return out === undefined ? [] : [[key, out]];
    });
    node.follow(internals(index));
    this.edit(() => {
      for (const key of index.keys()) node.invalidated(key);
    });
    return node;
  }

  /** Propagates everything `change` edits at once. Batches nest; the outermost counts. */
  batch(change: () => void): void {
    if (this.#flushing) {
      throw new AmbitError('COLLECTION_EDIT', 'a deriving function edited a source', {
        advice: 'deriving functions only read; edit sources from listeners or from outside',
      });
    }
    this.#depth++;
    try {
      change();
    } finally {
      this.#depth--;
      if (this.#depth === 0) this.#propagate();
    }
  }

  /** Every collection and index in order of creation, each with what it depends on. Walks all items: for pages. */
  describe(): NodeDescription[] {
    const names = new Map(this.#nodes.map((node) => [(node as Node & Partial<Upstream>).watchers, node.name]));
    return this.#nodes.map((node) => node.describe((watchers) => names.get(watchers) ?? ''));
  }

  /** Work done so far, by collection. */
  stats(): CollectionStats[] {
    return this.#stores.map((store) => ({
      name: store.name,
      size: store.size,
      computed: store.computedCount ?? 0,
      changed: store.changedCount,
    }));
  }

  edit(change: () => void): void {
    this.batch(change);
  }

  schedule(node: Node): void {
    if (node.scheduled) return;
    node.scheduled = true;
    if (node.order < this.#lowest) this.#lowest = node.order;
  }

  failed(collection: string, key: string, error: unknown): void {
    this.#onError(collection, key, error);
  }

  changed(node: Notifier): void {
    this.#unheard.add(node);
  }

  #add<N extends Node & Counted>(node: N): N {
    this.#nodes.push(node);
    this.#stores.push(node);
    return node;
  }

  #derived<U>(
    name: string,
    options: DerivedOptions<U> | undefined,
    compute: (key: string, fetch: Fetch) => readonly (readonly [string, U])[],
  ): Derived<U> {
    return this.#add(new Derived<U>(name, this.#nodes.length, this, options?.equals ?? isDeepStrictEqual, compute));
  }

  #feed<T>(node: Follower, over: Collection<T>): void {
    node.follow(internals(over));
    this.edit(() => {
      for (const [key] of over.entries()) node.invalidated(key);
    });
  }

  #propagate(): void {
    if (this.#lowest === Number.POSITIVE_INFINITY) return;
    this.#flushing = true;
    try {
      // A flush schedules younger nodes only, so the walk never turns back.
      for (let at = this.#lowest; at < this.#nodes.length; at++) {
        const node = this.#nodes[at]!;
        if (!node.scheduled) continue;
        node.scheduled = false;
        node.flush();
      }
    } finally {
      this.#lowest = Number.POSITIVE_INFINITY;
      this.#flushing = false;
    }
    this.#version++;
    if (!this.#notifying) this.#tellListeners();
  }

  #tellListeners(): void {
    this.#notifying = true;
    try {
      // A listener may edit; what that changes is told in the next round.
      while (this.#unheard.size > 0) {
        const round = this.#unheard;
        this.#unheard = new Set();
        for (const node of round) node.notify();
      }
    } finally {
      this.#notifying = false;
    }
  }
}

/** The engine's side of something a graph made. */
function internals<C extends object>(of: C): C & Upstream & Placed {
  return of as C & Upstream & Placed;
}
