// SPDX-License-Identifier: Apache-2.0
//
// Collections computed item by item. Each item remembers what it read while it was computed; when that changes, or
// its own input does, the item is computed again, and nothing else is.

import type { Collection, Equals, Fetch, Index, NodeDescription } from './collection.ts';
import { assertOlder, type Dependent, type Placed, type Scheduler, type Upstream, type Watchers } from './node.ts';
import { Store } from './store.ts';

/** Something an item read: where its name is on the list. */
interface Dependency {
  readonly watchers: Watchers;
  /** undefined: everything. */
  readonly key: string | undefined;
}

/** One item under way through the graph: its key, what it read, what it put out. */
class Item implements Dependent {
  readonly key: string;
  readonly #owner: { invalidated(key: string): void };
  dependencies: Dependency[] = [];
  outputs: readonly string[] = [];

  constructor(key: string, owner: { invalidated(key: string): void }) {
    this.key = key;
    this.#owner = owner;
  }

  invalidate(): void {
    this.#owner.invalidated(this.key);
  }

  forget(): void {
    for (const { watchers, key } of this.dependencies) {
      if (key === undefined) watchers.removeFromAll(this);
      else watchers.remove(key, this);
    }
    this.dependencies = [];
  }
}

/** Values by key, as a deriving function returns them. */
export type Outputs<T> = readonly (readonly [string, T])[];

/** Computes what one input gives: nothing, one value, several. */
export type Compute<T> = (key: string, fetch: Fetch) => Outputs<T>;

export class Derived<T> extends Store<T> {
  readonly #compute: Compute<T>;
  readonly #items = new Map<string, Item>();
  #dirty = new Set<string>();
  /** Where several inputs put out one key: each one's value, by input key. */
  readonly #rivals = new Map<string, Map<string, T>>();
  #computed = 0;
  readonly #inputs: string[] = [];

  constructor(name: string, order: number, scheduler: Scheduler, equals: Equals<T>, compute: Compute<T>) {
    super(name, order, scheduler, equals);
    this.#compute = compute;
  }

  /** Calls of the deriving function, since the start. */
  get computedCount(): number {
    return this.#computed;
  }

  /** Makes every changed key of `upstream` an input of this collection. */
  follow(upstream: Upstream & { readonly name: string }): void {
    assertOlder(this, upstream);
    upstream.addDownstream((key) => this.invalidated(key));
    this.#inputs.push(upstream.name);
  }

  override describe(nameOf: (watchers: Watchers) => string): NodeDescription {
    const read = new Set<Watchers>();
    for (const { dependencies } of this.#items.values()) for (const { watchers } of dependencies) read.add(watchers);
    const reads = [...read].map(nameOf).sort();
    return { ...this.counts(), kind: 'derived', computed: this.#computed, inputs: [...this.#inputs], reads };
  }

  invalidated(key: string): void {
    this.#dirty.add(key);
    this.scheduler.schedule(this);
  }

  override flush(): void {
    const dirty = this.#dirty;
    this.#dirty = new Set();
    for (const key of dirty) this.#recompute(key);
    this.publish();
  }

  #recompute(key: string): void {
    const item = this.#items.get(key) ?? new Item(key, this);
    item.forget();
    this.#computed++;
    let outputs: Outputs<T>;
    try {
      outputs = this.#compute(key, new Reading(this, item));
    } catch (error) {
      // The last good value stays: losing a policy to a bug of ours would open what it closed.
      this.#items.set(key, item);
      this.scheduler.failed(this.name, key, error);
      return;
    }
    const kept = new Set<string>();
    for (const [out, value] of outputs) {
      kept.add(out);
      this.#put(out, key, value);
    }
    for (const out of item.outputs) if (!kept.has(out)) this.#take(out, key);
    item.outputs = [...kept];
    if (item.outputs.length === 0 && item.dependencies.length === 0) this.#items.delete(key);
    else this.#items.set(key, item);
  }

  #put(out: string, input: string, value: T): void {
    const rivals = this.#rivals.get(out);
    if (rivals !== undefined) {
      rivals.set(input, value);
    } else {
      this.#rivals.set(out, new Map([[input, value]]));
    }
    this.write(out, this.#winner(out));
  }

  #take(out: string, input: string): void {
    const rivals = this.#rivals.get(out);
    rivals?.delete(input);
    if (rivals?.size === 0) this.#rivals.delete(out);
    this.write(out, this.#winner(out));
  }

  /** Of several inputs that put out one key, the first by name, whatever the order of their arrival. */
  #winner(out: string): T | undefined {
    const rivals = this.#rivals.get(out);
    if (rivals === undefined) return undefined;
    if (rivals.size === 1) for (const value of rivals.values()) return value;
    let first: string | undefined;
    for (const input of rivals.keys()) if (first === undefined || input < first) first = input;
    return first === undefined ? undefined : rivals.get(first);
  }
}

/** The engine's side of a collection or an index, as handed out by its graph. */
type Readable = Upstream & { readonly name: string };

/** The {@link Fetch} of one computation. */
class Reading implements Fetch {
  readonly #reader: Placed;
  readonly #item: Item;

  constructor(reader: Placed, item: Item) {
    this.#reader = reader;
    this.#item = item;
  }

  get<V>(from: Collection<V>, key: string): V | undefined {
    this.#depend(from, key);
    return from.get(key);
  }

  lookup<V>(from: Index<V>, key: string): readonly V[] {
    this.#depend(from, key);
    return from.lookup(key);
  }

  all<V>(from: Collection<V>): ReadonlyMap<string, V> {
    this.#depend(from, undefined);
    return from.snapshot();
  }

  #depend(from: Collection<unknown> | Index<unknown>, key: string | undefined): void {
    const readable = from as unknown as Readable;
    assertOlder(this.#reader, readable);
    if (readable.constant) return;
    const { watchers } = readable;
    if (key === undefined) watchers.addToAll(this.#item);
    else watchers.add(key, this.#item);
    this.#item.dependencies.push({ watchers, key });
  }
}
