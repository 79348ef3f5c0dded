// SPDX-License-Identifier: Apache-2.0
// Values decoded from the shared store, kept as long as the store says that their record is the same; while the store has not
// changed at all, an answer costs one map look-up. What is not asked for any more is forgotten: records of pods that are gone.
import { AgingMap } from '#lib/kit/aging-map.ts';
import { FOUND, MISSING, type StoreReader } from '#lib/loop/shared/store-reader.ts';

interface Cached<T> {
  value: T | undefined;
  /** Of the record the value was made from; 0 when there was none. */
  recordVersion: number;
  /** Of the store when this was last compared. */
  seenAt: number;
}

/** Kept values of a generation. */
const MAX_CACHED = 25_000;

export class RecordCache<T> {
  readonly #store: StoreReader;
  readonly #decode: (text: string) => T;
  readonly #entries = new AgingMap<string, Cached<T>>({ most: MAX_CACHED });
  readonly #key = Buffer.alloc(1100);

  constructor(store: StoreReader, decode: (text: string) => T) {
    this.#store = store;
    this.#decode = decode;
  }

  /** Whether the store has it: nothing is decoded or kept. */
  has(key: string): boolean {
    return this.#store.get(this.#key, this.#key.write(key)) !== MISSING;
  }

  get(key: string): T | undefined {
    const version = this.#store.version;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { value: undefined, recordVersion: 0, seenAt: -1 };
      this.#entries.set(key, entry);
    } else if (entry.seenAt === version) return entry.value;
    const length = this.#key.write(key);
    const outcome = this.#store.get(this.#key, length, entry.recordVersion);
    if (outcome === FOUND) {
      // Before decoding, which may look further records up.
      entry.recordVersion = this.#store.recordVersion;
      entry.value = this.#decode(this.#store.value.toString('utf8', 0, this.#store.valueLength));
    } else if (outcome === MISSING) {
      entry.value = undefined;
      entry.recordVersion = 0;
    }
    entry.seenAt = version;
    return entry.value;
  }
}
