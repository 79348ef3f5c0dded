// SPDX-License-Identifier: Apache-2.0
//
// An index over one collection, kept up to date item by item.

import { FewByKey } from '#lib/kit/few.ts';
import type { Collection, Index, NodeDescription } from './collection.ts';
import { assertOlder, Node, type Scheduler, type Upstream, Watchers } from './node.ts';

const NOTHING: readonly never[] = [];

export class Lookup<T> extends Node implements Index<T>, Upstream {
  readonly watchers = new Watchers();
  readonly constant: boolean = false;
  readonly #over: Collection<T>;
  readonly #keysOf: (value: T, key: string) => Iterable<string>;
  /** Keys of items by index key. */
  readonly #members = new FewByKey<string>();
  readonly #keysOfItem = new Map<string, readonly string[]>();
  /** Ordered lists, made when first asked for. */
  readonly #lists = new Map<string, readonly T[]>();
  readonly #downstream: ((key: string) => void)[] = [];
  #dirty = new Set<string>();

  constructor(
    name: string,
    order: number,
    scheduler: Scheduler,
    over: Collection<T> & Upstream,
    keysOf: (value: T, key: string) => Iterable<string>,
  ) {
    super(name, order, scheduler);
    assertOlder(this, over);
    this.#over = over;
    this.#keysOf = keysOf;
    over.addDownstream((key) => {
      this.#dirty.add(key);
      scheduler.schedule(this);
    });
    for (const [key] of over.entries()) this.#dirty.add(key);
  }

  lookup(key: string): readonly T[] {
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    if (!this.#members.has(key)) return NOTHING;
    const list = this.#members
      .of(key)
      .sort()
      .map((item) => this.#over.get(item) as T);
    this.#lists.set(key, list);
    return list;
  }

  keys(): Iterable<string> {
    return this.#members.keys();
  }

  addDownstream(changed: (key: string) => void): void {
    this.#downstream.push(changed);
  }

  override describe(): NodeDescription {
    const { name } = this;
    return {
      name,
      kind: 'index',
      size: this.#members.size,
      computed: 0,
      changed: 0,
      inputs: [this.#over.name],
      reads: [],
    };
  }

  override flush(): void {
    const dirty = this.#dirty;
    this.#dirty = new Set();
    const touched = new Set<string>();
    for (const item of dirty) {
      const value = this.#over.get(item);
      const before = this.#keysOfItem.get(item) ?? NOTHING;
      const after = value === undefined ? NOTHING : this.#keysFor(value, item, before);
      for (const key of before) {
        touched.add(key);
        this.#members.delete(key, item);
      }
      for (const key of after) {
        touched.add(key);
        this.#members.add(key, item);
      }
      if (after.length === 0) this.#keysOfItem.delete(item);
      else this.#keysOfItem.set(item, after);
    }
    for (const key of touched) {
      this.#lists.delete(key);
      for (const changed of this.#downstream) changed(key);
      this.watchers.invalidate(key);
    }
  }

  #keysFor(value: T, item: string, before: readonly string[]): readonly string[] {
    try {
      return [...new Set(this.#keysOf(value, item))];
    } catch (error) {
      this.scheduler.failed(this.name, item, error);
      return before;
    }
  }
}
