// SPDX-License-Identifier: Apache-2.0
//
// The parts every collection is made of. Nodes are ordered by creation, and a node reads only older ones, so one walk
// in that order brings the whole graph up to date with every function called at most once an item and batch.

import { AmbitError } from '#lib/kit/error.ts';
import { FewByKey } from '#lib/kit/few.ts';
import type { NodeDescription } from './collection.ts';

/** The side of the graph that nodes need. */
export interface Scheduler {
  /** Has `flush` of the node called in this batch. */
  schedule(node: Node): void;
  /** Runs an edit in the current batch, or in one of its own. */
  edit(change: () => void): void;
  /** Reports a deriving function that threw. */
  failed(collection: string, key: string, error: unknown): void;
  /** Has listeners of the node called when the batch is done. */
  changed(node: Notifier): void;
}

export interface Notifier {
  notify(): void;
}

export abstract class Node {
  readonly name: string;
  /** Position in the graph; what a node reads has a lower one. */
  readonly order: number;
  /** Set while the node waits in the current batch. */
  scheduled = false;
  protected readonly scheduler: Scheduler;

  constructor(name: string, order: number, scheduler: Scheduler) {
    this.name = name;
    this.order = order;
    this.scheduler = scheduler;
  }

  /** Brings the node up to date and tells what depends on it. */
  abstract flush(): void;

  /** What the node is, for pages that show the graph. @param nameOf the node that watchers belong to */
  abstract describe(nameOf: (watchers: Watchers) => string): NodeDescription;
}

/** A derived item as others see it: whom to tell when something it read has changed. */
export interface Dependent {
  invalidate(): void;
}

/** Who read which keys of one collection or index. */
export class Watchers {
  /** Most keys have one reader. */
  readonly #byKey = new FewByKey<Dependent>();
  readonly #ofAll = new Set<Dependent>();

  add(key: string, dependent: Dependent): void {
    this.#byKey.add(key, dependent);
  }

  addToAll(dependent: Dependent): void {
    this.#ofAll.add(dependent);
  }

  remove(key: string, dependent: Dependent): void {
    this.#byKey.delete(key, dependent);
  }

  removeFromAll(dependent: Dependent): void {
    this.#ofAll.delete(dependent);
  }

  invalidate(key: string): void {
    this.#byKey.each(key, invalidateOne);
    for (const dependent of this.#ofAll) dependent.invalidate();
  }

  /** Number of keys watched, for tests that nothing is left behind. */
  get size(): number {
    return this.#byKey.size + this.#ofAll.size;
  }
}

function invalidateOne(dependent: Dependent): void {
  dependent.invalidate();
}

/** A node whose changed keys are another node's work list. */
export interface Upstream {
  readonly order: number;
  readonly watchers: Watchers;
  /** Content that never changes needs no watching. */
  readonly constant: boolean;
  addDownstream(changed: (key: string) => void): void;
}

/** Name and place in the graph. */
export interface Placed {
  readonly name: string;
  readonly order: number;
}

/** @throws AmbitError when `reader` was created before what it reads, which would need a second walk */
export function assertOlder(reader: Placed, read: Placed): void {
  if (read.order < reader.order) return;
  throw new AmbitError('COLLECTION_ORDER', `collection ${reader.name} reads ${read.name}, which was created after it`, {
    advice: `create ${read.name} before ${reader.name}`,
  });
}
