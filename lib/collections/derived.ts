// SPDX-License-Identifier: Apache-2.0
//
// Collections computed item by item. Each item remembers what it read while it was computed; when that changes, or
// its own input does, the item is computed again, and nothing else is.

import type { Collection, Equals, Fetch, Index, NodeDescription } from './collection.ts';
import { assertOlder, type Dependent, type Placed, type Scheduler, type Upstream, type Watchers } from './node.ts';
import { Store } from './store.ts';

/** What an item read: pairs of the lists its name is on and the keys it is there under (undefined: everything). Flat,
 * since of all that the engine keeps there is most of this. */
type Dependencies = readonly (Watchers | string | undefined)[];

/** An item reads some things several times; on lists up to this long (entries, two a pair) they are looked for. */
const SCANNED = 64;

/** Outputs of the many items that put out one value under their own key: not worth a list for each. */
const OWN_KEY: readonly string[] = Object.freeze(['(its own key)']);
const NONE: readonly never[] = Object.freeze([]);

/** One item under way through the graph: its key, what it read, what it put out. */
class Item implements Dependent {
  readonly key: string;
  readonly #owner: { invalidated(key: string): void };
  /** Shared while empty: most items read nothing but their input. */
  dependencies: Dependencies = NONE;
  outputs: readonly string[] = NONE;

  constructor(key: string, owner: { invalidated(key: string): void }) {
    this.key = key;
    this.#owner = owner;
  }

  invalidate(): void {
    this.#owner.invalidated(this.key);
  }
}

/** What the item being computed reads, beside what it read the last time. */
class Reads {
  #item: Item | undefined;
  #now: (Watchers | string | undefined)[] = [];

  begin(item: Item): void {
    this.#item = item;
    this.#now = [];
  }

  /** It reads something. What it reads as the last time, in the same place, stays on the list as it is. */
  add(watchers: Watchers, key: string | undefined): void {
    const now = this.#now;
    const item = this.#item!;
    const at = now.length;
    if (item.dependencies[at] !== watchers || item.dependencies[at + 1] !== key) {
      if (at <= SCANNED && hasPair(now, watchers, key)) return;
      if (key === undefined) watchers.addToAll(item);
      else watchers.add(key, item);
    }
    now.push(watchers, key);
  }

  /** It has been computed: what it reads no more lets go of it. */
  end(): void {
    const item = this.#item!;
    const now = this.#now;
    const before = item.dependencies;
    let kept: Map<Watchers, Set<string | undefined>> | undefined;
    let same = before.length === now.length;
    for (let i = 0; i < before.length; i += 2) {
      const watchers = before[i] as Watchers;
      const key = before[i + 1] as string | undefined;
      if (now[i] === watchers && now[i + 1] === key) continue;
      same = false;
      kept ??= keysByList(now);
      if (kept.get(watchers)?.has(key) === true) continue;
      if (key === undefined) watchers.removeFromAll(item);
      else watchers.remove(key, item);
    }
    // A copy has no room to grow, which a list that was filled one by one has.
    if (!same) item.dependencies = now.length === 0 ? NONE : now.slice();
  }
}

function hasPair(list: Dependencies, watchers: Watchers, key: string | undefined): boolean {
  for (let i = 0; i < list.length; i += 2) if (list[i] === watchers && list[i + 1] === key) return true;
  return false;
}

function keysByList(dependencies: Dependencies): Map<Watchers, Set<string | undefined>> {
  const lists = new Map<Watchers, Set<string | undefined>>();
  for (let i = 0; i < dependencies.length; i += 2) {
    const watchers = dependencies[i] as Watchers;
    const key = dependencies[i + 1] as string | undefined;
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
  readonly #reads = new Reads();
  readonly #reading: Fetch = new Reading(this, this.#reads);

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
    for (const { dependencies } of this.#items.values()) {
      for (let i = 0; i < dependencies.length; i += 2) read.add(dependencies[i] as Watchers);
    }
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
    this.#reads.begin(item);
    this.#computed++;
    let outputs: Outputs<T>;
    try {
      outputs = this.#compute(key, this.#reading);
      this.#reads.end();
    } catch (error) {
      this.#reads.end();
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

/** The {@link Fetch} of a collection's computations. */
class Reading implements Fetch {
  readonly #reader: Placed;
  readonly #reads: Reads;

  constructor(reader: Placed, reads: Reads) {
    this.#reader = reader;
    this.#reads = reads;
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
    this.#reads.add(readable.watchers, key);
  }
}
