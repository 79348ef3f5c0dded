// SPDX-License-Identifier: Apache-2.0
// Route tables of a data-plane process, compiled from records in shared memory. A small one is compiled when it is asked for. One of
// thousands of routes would keep every request waiting for that: its successor is made between two turns, a moment in each, and
// the one before serves until it is there.
import type { Loop, Resumable } from '#lib/loop/loop.ts';
import { FOUND, MISSING, type StoreReader } from '#lib/loop/shared/store-reader.ts';
import { type CompiledTable, type Compiling, compiling } from '#lib/mesh/http/compiled-table.ts';
import type { Target } from '#lib/mesh/http/route-table.ts';
import { tableKey } from '../source/l7-key.ts';
import { readingTable } from '../source/table-record.ts';

/** Records up to this size, some 80 routes, are compiled at once: a third of a millisecond. */
const AT_ONCE_BYTES = 32 * 1024;
/** Tables looked at in one round of forgetting. */
const LOOKS = 2048;
/** Time that a turn has for the others, in ms. */
const SLICE_MS = 0.5;

interface Known {
  readonly key: string;
  /** The service's port it is for; undefined for a gateway's listener. */
  readonly target: Target | undefined;
  compiled: CompiledTable | undefined;
  /** Takes the place of `compiled` when it is made. */
  making: Compiling | undefined;
  /** Of the record it was, or is being, made from; 0 when there is none. */
  recordVersion: number;
  /** Version of the store when this was last compared. */
  seenAt: number;
}

export class RouteTables implements Resumable {
  resumeQueued = false;
  /** Grows when a table that was asked for has got a successor. */
  replaced = 0;
  readonly #store: StoreReader;
  readonly #loop: Pick<Loop, 'again'>;
  readonly #monotonic: () => number;
  readonly #byName = new Map<string, Known>();
  /** Those too large to be compiled at once. */
  readonly #large = new Set<Known>();
  readonly #key = Buffer.alloc(1100);
  #round: Iterator<[string, Known]> | undefined;

  /** `monotonic`: ms. */
  constructor(store: StoreReader, loop: Pick<Loop, 'again'>, monotonic: () => number = () => performance.now()) {
    this.#store = store;
    this.#loop = loop;
    this.#monotonic = monotonic;
  }

  /** The table; undefined where there is none. `target`: the service's port it is for, undefined for a gateway's listener. */
  of(name: string, target: Target | undefined): CompiledTable | undefined {
    let known = this.#byName.get(name);
    if (known === undefined) {
      known = { key: tableKey(name), target, compiled: undefined, making: undefined, recordVersion: 0, seenAt: -1 };
      this.#byName.set(name, known);
    }
    this.#look(known);
    return known.compiled;
  }

  /** The store has changed: successors are made from now on, and not when the next request asks. */
  follow(): void {
    for (const known of this.#large) this.#look(known);
  }

  /** Those whose record is gone, and names that never had one, of the next few: to be called now and then. */
  forget(): void {
    this.#round ??= this.#byName.entries();
    for (let looks = 0; looks < LOOKS; looks++) {
      const { done, value } = this.#round.next();
      if (done === true) {
        this.#round = undefined;
        return;
      }
      const [name, known] = value;
      if (this.#store.get(this.#key, this.#key.write(known.key), known.recordVersion) !== MISSING) continue;
      this.#byName.delete(name);
      this.#large.delete(known);
    }
  }

  /** How many are known by name. */
  get size(): number {
    return this.#byName.size;
  }

  resume(): void {
    const until = this.#monotonic() + SLICE_MS;
    for (const known of this.#large) {
      while (known.making !== undefined && this.#monotonic() < until) this.#step(known, known.making);
      if (known.making !== undefined) {
        this.#loop.again(this);
        return;
      }
    }
  }

  #step(known: Known, making: Compiling): void {
    const { done, value } = making.next();
    if (done !== true) return;
    known.making = undefined;
    known.compiled = value;
    this.replaced++;
  }

  #look(known: Known): void {
    const { version } = this.#store;
    if (known.seenAt === version) return;
    known.seenAt = version;
    const length = this.#key.write(known.key);
    const outcome = this.#store.get(this.#key, length, known.recordVersion);
    if (outcome === FOUND) this.#make(known);
    else if (outcome === MISSING) {
      known.compiled = known.making = undefined;
      known.recordVersion = 0;
      this.#large.delete(known);
    }
  }

  /** Of the record that the store has just found. */
  #make(known: Known): void {
    const { recordVersion, value, valueLength } = this.#store;
    known.recordVersion = recordVersion;
    known.making = making(value.toString('utf8', 0, valueLength), known.target);
    if (valueLength > AT_ONCE_BYTES) this.#large.add(known);
    else this.#large.delete(known);
    // The first one has nobody to serve in its place.
    if (valueLength > AT_ONCE_BYTES && known.compiled !== undefined) this.#loop.again(this);
    else while (known.making !== undefined) this.#step(known, known.making);
  }
}

function* making(text: string, target: Target | undefined): Compiling {
  const table = yield* readingTable(text);
  return yield* compiling(table, target);
}
