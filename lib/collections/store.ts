// SPDX-License-Identifier: Apache-2.0
//
// The content of one collection, and what changed in the batch that is under way.

import type { Change, Collection, Equals, Listener } from './collection.ts';
import { Node, type Notifier, type Scheduler, type Upstream, Watchers } from './node.ts';

export abstract class Store<T> extends Node implements Collection<T>, Upstream, Notifier {
  readonly watchers = new Watchers();
  readonly constant: boolean = false;
  readonly #equals: Equals<T>;
  readonly #listeners = new Set<Listener<T>>();
  readonly #downstream: ((key: string) => void)[] = [];
  #values = new Map<string, T>();
  /** Set when the map has been handed out and must be copied before it changes. */
  #shared = false;
  /** Values before the batch, of the keys written in it. */
  #before = new Map<string, T | undefined>();
  /** Changes that listeners have not heard of. */
  #unheard: Change<T>[] = [];
  #changed = 0;

  constructor(name: string, order: number, scheduler: Scheduler, equals: Equals<T>) {
    super(name, order, scheduler);
    this.#equals = equals;
  }

  get size(): number {
    return this.#values.size;
  }

  /** Items that came out different, since the start. */
  get changedCount(): number {
    return this.#changed;
  }

  protected counts(): { readonly name: string; readonly size: number; readonly changed: number } {
    return { name: this.name, size: this.size, changed: this.#changed };
  }

  get(key: string): T | undefined {
    return this.#values.get(key);
  }

  entries(): Iterable<[string, T]> {
    return this.#values.entries();
  }

  values(): Iterable<T> {
    return this.#values.values();
  }

  snapshot(): ReadonlyMap<string, T> {
    this.#shared = true;
    return this.#values;
  }

  subscribe(listener: Listener<T>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  addDownstream(changed: (key: string) => void): void {
    this.#downstream.push(changed);
  }

  /** Sets or, with `undefined`, removes an item. Equal values change nothing, and the old one stays. */
  protected write(key: string, value: T | undefined): void {
    const known = this.#values.get(key);
    if (known === undefined ? value === undefined : value !== undefined && this.#equals(known, value)) return;
    if (!this.#before.has(key)) this.#before.set(key, known);
    if (this.#shared) {
      this.#values = new Map(this.#values);
      this.#shared = false;
    }
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
  }

  /** Tells dependents what this batch changed here. */
  protected publish(): void {
    if (this.#before.size === 0) return;
    const written = this.#before;
    this.#before = new Map();
    let first = this.#unheard.length === 0;
    for (const [key, before] of written) {
      const after = this.#values.get(key);
      if (before === after || (before !== undefined && after !== undefined && this.#equals(before, after))) continue;
      this.#changed++;
      for (const changed of this.#downstream) changed(key);
      this.watchers.invalidate(key);
      if (this.#listeners.size === 0) continue;
      this.#unheard.push({ key, before, after });
      if (first) this.scheduler.changed(this);
      first = false;
    }
  }

  notify(): void {
    const changes = this.#unheard;
    this.#unheard = [];
    for (const listener of [...this.#listeners]) {
      try {
        listener(changes);
      } catch (error) {
        this.scheduler.failed(this.name, 'listener', error);
      }
    }
  }
}
