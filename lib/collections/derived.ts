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

/** Outputs of the many items that put out one value under their own key: not worth a list for each. */
const OWN_KEY: readonly string[] = Object.freeze(['(its own key)']);
const NONE: readonly never[] = Object.freeze([]);

/** One item under way through the graph: its key, what it read, what it put out. */
class Item implements Dependent {
  readonly key: string;
  readonly #owner: { invalidated(key: string): void };
  /** Shared while empty: most items read nothing but their input. */
  dependencies: readonly Dependency[] | Dependency[] = NONE;
  outputs: readonly string[] = NONE;
  #before: readonly Dependency[] = NONE;

  constructor(key: string, owner: { invalidated(key: string): void }) {
    this.key = key;
    this.#owner = owner;
  }

  invalidate(): void {
    this.#owner.invalidated(this.key);
  }

  /** It is about to be computed. */
  begin(): void {
    this.#before = this.dependencies;
    this.dependencies = NONE;
  }

  /** It reads something. What it reads as the last time, in the same place, stays on the list as it is. */
  depend(watchers: Watchers, key: string | undefined): void {
    const known = this.#before[this.dependencies.length];
    let dependency = known;
    if (known === undefined || known.watchers !== watchers || known.key !== key) {
      if (key === undefined) watchers.addToAll(this);
      else watchers.add(key, this);
      dependency = { watchers, key };
    }
    if (this.dependencies === NONE) this.dependencies = [dependency!];
    else (this.dependencies as Dependency[]).push(dependency!);
  }

  /** It has been computed: what it reads no more lets go of it. */
  end(): void {
    const before = this.#before;
    const now = this.dependencies;
    this.#before = NONE;
    let kept: Map<Watchers, Set<string | undefined>> | undefined;
    for (let i = 0; i < before.length; i++) {
      const old = before[i]!;
      if (now[i] === old) continue;
      const { key, watchers } = old;
      kept ??= keysByList(now);
      if (kept.get(watchers)?.has(key) === true) continue;
      if (key === undefined) watchers.removeFromAll(this);
      else watchers.remove(key, this);
    }
  }
}

function keysByList(dependencies: readonly Dependency[]): Map<Watchers, Set<string | undefined>> {
  const lists = new Map<Watchers, Set<string | undefined>>();
  for (const { key, watchers } of dependencies) {
    const keys = lists.get(watchers);
    if (keys === undefined) lists.set(watchers, new Set([key]));
    else keys.add(key);
  }
  return lists;
}

/** Values by key, as a deriving function returns them. */
export type Outputs<T> = readonly (readonly [string, T])[];

/** Computes what one input gives: nothing, one value, several. */
export type Compute<T> = (key: string, fetch: Fetch) => Outputs<T>;

export class Derived<T> extends Store<T> {
  readonly #compute: Compute<T>;
  /** An item that reads nothing and puts out its own key is not kept: its value says all that there is to know. */
  readonly #items = new Map<string, Item>();
  #dirty = new Set<string>();
  /** The input of an output that has another key than it. */
  readonly #inputOf = new Map<string, string>();
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
    const item = this.#items.get(key) ?? this.#restored(key);
    item.begin();
    this.#computed++;
    let outputs: Outputs<T>;
    try {
      outputs = this.#compute(key, new Reading(this, item));
      item.end();
    } catch (error) {
      item.end();
      // The last good value stays: losing a policy to a bug of ours would open what it closed.
      this.#items.set(key, item);
      this.scheduler.failed(this.name, key, error);
      return;
    }
    const before = item.outputs === OWN_KEY ? [key] : item.outputs;
    for (const [out, value] of outputs) this.#put(out, key, value);
    item.outputs = keysOf(outputs, key);
    for (const out of before) if (!outputs.some(([kept]) => kept === out)) this.#take(out, key);
    const plain = item.outputs === OWN_KEY || item.outputs.length === 0;
    if (plain && item.dependencies.length === 0) this.#items.delete(key);
    else this.#items.set(key, item);
  }

  /** An item that was not worth keeping. */
  #restored(key: string): Item {
    const item = new Item(key, this);
    if (this.#puts(key, key)) item.outputs = OWN_KEY;
    return item;
  }

  /** Whether the input puts out that key. */
  #puts(input: string, out: string): boolean {
    const rivals = this.#rivals.get(out);
    if (rivals !== undefined) return rivals.has(input);
    return this.get(out) !== undefined && (this.#inputOf.get(out) ?? out) === input;
  }

  #put(out: string, input: string, value: T): void {
    let rivals = this.#rivals.get(out);
    const present = this.get(out);
    if (rivals === undefined && (present === undefined || this.#puts(input, out))) {
      this.#own(out, input);
      this.write(out, value);
      return;
    }
    if (rivals === undefined) {
      rivals = new Map([[this.#inputOf.get(out) ?? out, present as T]]);
      this.#rivals.set(out, rivals);
      this.#inputOf.delete(out);
    }
    rivals.set(input, value);
    this.write(out, this.#winner(rivals));
  }

  #take(out: string, input: string): void {
    const rivals = this.#rivals.get(out);
    if (rivals === undefined) {
      if (!this.#puts(input, out)) return;
      this.#inputOf.delete(out);
      this.write(out, undefined);
      return;
    }
    rivals.delete(input);
    const winner = this.#winner(rivals);
    if (rivals.size === 1) {
      this.#rivals.delete(out);
      for (const left of rivals.keys()) this.#own(out, left);
    }
    this.write(out, winner);
  }

  #own(out: string, input: string): void {
    if (out === input) this.#inputOf.delete(out);
    else this.#inputOf.set(out, input);
  }

  /** Of several inputs that put out one key, the first by name, whatever the order of their arrival. */
  #winner(rivals: ReadonlyMap<string, T>): T | undefined {
    let first: string | undefined;
    for (const input of rivals.keys()) if (first === undefined || input < first) first = input;
    return first === undefined ? undefined : rivals.get(first);
  }
}

function keysOf(outputs: Outputs<unknown>, key: string): readonly string[] {
  if (outputs.length === 0) return NONE;
  if (outputs.length === 1 && outputs[0]![0] === key) return OWN_KEY;
  return [...new Set(outputs.map(([out]) => out))];
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
    this.#item.depend(readable.watchers, key);
  }
}
