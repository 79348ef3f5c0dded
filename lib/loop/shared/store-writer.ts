// SPDX-License-Identifier: Apache-2.0
// Writes the mesh store: the main process is the only writer. Records never change once published; a new value is a new record.
// See store.ts for the layout.
import { AmbitError } from '#lib/kit/error.ts';
import {
  createStore,
  HASH,
  hashKey,
  KEY_LENGTH,
  MAX_KEY_BYTES,
  MOVES,
  RECORD_HEADER,
  RECORD_VERSION,
  RECORDS,
  SEQUENCE,
  SLOTS,
  type StoreParts,
  type StoreSize,
  UNIT,
  VALUE_LENGTH,
  VERSION,
} from './store.ts';

/** Room is given in these steps, four to each doubling, so that a changed record usually fits a freed one. */
function roomFor(bytes: number): number {
  const units = Math.ceil(bytes / UNIT);
  if (units <= 4) return 4;
  const step = 2 ** Math.max(0, Math.floor(Math.log2(units)) - 2);
  return Math.ceil(units / step) * step;
}

/** Freed room rests this long before it is used again; readers copy within microseconds. */
const REST_MS = 2000;

interface Freed {
  readonly place: number;
  readonly units: number;
  readonly atMs: number;
}

/** A change to make: a value, or undefined to delete. */
export interface StoreChange {
  readonly key: string;
  readonly value: Uint8Array | undefined;
  /** It names records that changed, and what was decoded from it holds theirs: a new record, whatever its own value was. */
  readonly renew?: boolean;
}

export class StoreWriter {
  readonly fd: number;
  readonly parts: StoreParts;
  readonly #maxRecords: number;
  readonly #monotonic: () => number;
  readonly #free = new Map<number, number[]>();
  /** Of the table in use, which begins at the slot of that number. */
  #slots: number;
  #resting: Freed[] = [];
  #next = 4;
  #recordVersion = 0;

  /** `monotonic`: ms. */
  constructor(size: StoreSize, monotonic: () => number = () => performance.now()) {
    this.parts = createStore(size);
    this.fd = this.parts.fd;
    this.#slots = this.parts.header[SLOTS]!;
    this.#maxRecords = size.maxRecords;
    this.#monotonic = monotonic;
  }

  get version(): number {
    return this.parts.header[VERSION]!;
  }

  get records(): number {
    return this.parts.header[RECORDS]!;
  }

  /** Bytes of record room in use or resting, for metrics. */
  get usedBytes(): number {
    return this.#next * UNIT;
  }

  /**
   * Sets a key. The value that is there already stays the record it is, so that nobody decodes it again: a control plane that comes
   * back sends everything once more; `renew` as in StoreChange. Throws STORE_FULL or STORE_KEY; what was there before then still stands.
   */
  put(key: string, value: Uint8Array, renew = false): void {
    const bytes = keyBytes(key);
    const hash = hashKey(bytes, bytes.length);
    let slot = this.#find(hash, bytes);
    const old = this.parts.index[slot * 2 + 1]!;
    if (old !== 0 && !renew && this.#holds(old, value)) return;
    if (old === 0 && this.records >= this.#maxRecords) throw full(`${this.#maxRecords} records`);
    if (old === 0 && this.records * 2 >= this.#slots && this.#slots < this.parts.maxSlots) {
      this.#grow();
      slot = this.#find(hash, bytes);
    }
    const place = this.#write(hash, bytes, value);
    this.parts.index[slot * 2] = hash;
    Atomics.store(this.parts.index, slot * 2 + 1, place);
    if (old === 0) Atomics.add(this.parts.header, RECORDS, 1);
    else this.#retire(old);
  }

  /** Takes a key out; false when it was not there. */
  delete(key: string): boolean {
    const bytes = keyBytes(key);
    const slot = this.#find(hashKey(bytes, bytes.length), bytes);
    const place = this.parts.index[slot * 2 + 1]!;
    if (place === 0) return false;
    this.#closeGap(slot);
    Atomics.sub(this.parts.header, RECORDS, 1);
    this.#retire(place);
    return true;
  }

  /** Tells readers that a set of changes is complete; returns the new version. */
  commit(): number {
    return Atomics.add(this.parts.header, VERSION, 1) + 1;
  }

  /** The slot of a key, or the empty slot where it would go. */
  #find(hash: number, key: Uint8Array): number {
    const { index, words, bytes } = this.parts;
    const mask = this.#slots - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const slot = this.#slots + at;
      const place = index[slot * 2 + 1]!;
      if (place === 0) return slot;
      if (index[slot * 2] !== hash || words[place * 4 + KEY_LENGTH] !== key.length) continue;
      const from = place * UNIT + RECORD_HEADER;
      if (bytes.subarray(from, from + key.length).equals(key)) return slot;
    }
  }

  #holds(place: number, value: Uint8Array): boolean {
    const { bytes, words } = this.parts;
    const word = place * 4;
    if (words[word + VALUE_LENGTH] !== value.length) return false;
    const from = place * UNIT + RECORD_HEADER + words[word + KEY_LENGTH]!;
    return bytes.subarray(from, from + value.length).equals(value);
  }

  #write(hash: number, key: Uint8Array, value: Uint8Array): number {
    const { words, bytes } = this.parts;
    const place = this.#allocate(roomFor(RECORD_HEADER + key.length + value.length));
    const word = place * 4;
    this.#recordVersion = (this.#recordVersion % 0x7fffffff) + 1;
    words[word + RECORD_VERSION] = this.#recordVersion;
    words[word + HASH] = hash;
    words[word + KEY_LENGTH] = key.length;
    words[word + VALUE_LENGTH] = value.length;
    const from = place * UNIT + RECORD_HEADER;
    bytes.set(key, from);
    bytes.set(value, from + key.length);
    // Even: the record is whole. A place starts as 0 and is odd while it is free.
    Atomics.store(words, word + SEQUENCE, ((words[word + SEQUENCE]! + 2) & ~1) | 0);
    return place;
  }

  #retire(place: number): void {
    const { words } = this.parts;
    const word = place * 4;
    const units = roomFor(RECORD_HEADER + words[word + KEY_LENGTH]! + words[word + VALUE_LENGTH]!);
    Atomics.add(words, word + SEQUENCE, 1);
    this.#resting.push({ place, units, atMs: this.#monotonic() });
  }

  #allocate(units: number): number {
    this.#wake();
    const found = this.#free.get(units)?.pop();
    if (found !== undefined) return found;
    const place = this.#next;
    if ((place + units) * UNIT > this.parts.bytes.length) throw full(`${this.parts.bytes.length} bytes`);
    this.#next += units;
    return place;
  }

  /** Freed room that has rested long enough becomes free. */
  #wake(): void {
    const before = this.#monotonic() - REST_MS;
    let count = 0;
    for (const { place, units, atMs } of this.#resting) {
      if (atMs > before) break;
      const list = this.#free.get(units);
      if (list) list.push(place);
      else this.#free.set(units, [place]);
      count++;
    }
    if (count > 0) this.#resting = this.#resting.slice(count);
  }

  /** Takes the next table, twice as large, into use once it holds everything. A reader that missed something in the old one looks again. */
  #grow(): void {
    const { header, index } = this.parts;
    const first = this.#slots;
    const next = first * 2;
    for (let slot = first; slot < next; slot++) {
      const place = index[slot * 2 + 1]!;
      if (place === 0) continue;
      const hash = index[slot * 2]!;
      let at = hash & (next - 1);
      while (index[(next + at) * 2 + 1] !== 0) at = (at + 1) & (next - 1);
      index[(next + at) * 2] = hash;
      index[(next + at) * 2 + 1] = place;
    }
    this.#slots = next;
    Atomics.store(header, SLOTS, next);
    Atomics.add(header, MOVES, 1);
  }

  /** Empties a slot by moving later entries of its chain back. Copies before it clears, so no chain is ever cut. */
  #closeGap(start: number): void {
    const { index, header } = this.parts;
    const first = this.#slots;
    const mask = first - 1;
    let gap = start - first;
    for (let at = (gap + 1) & mask; index[(first + at) * 2 + 1] !== 0; at = (at + 1) & mask) {
      const [from, to] = [(first + at) * 2, (first + gap) * 2];
      const home = index[from]! & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      // The hash and the place change one after the other: a reader between the two compares the record's own hash and looks again.
      Atomics.store(index, to, index[from]!);
      Atomics.store(index, to + 1, index[from + 1]!);
      Atomics.add(header, MOVES, 1);
      gap = at;
    }
    Atomics.store(index, (first + gap) * 2 + 1, 0);
    Atomics.add(header, MOVES, 1);
  }
}

/**
 * Makes many changes in slices of at most `budgetMs`, letting other work in between (`pause`), then commits. Returns the new version.
 * One slice may be exceeded by one record.
 */
export async function feedStore(
  writer: StoreWriter,
  changes: Iterable<StoreChange>,
  options: { readonly budgetMs?: number; readonly monotonic?: () => number; readonly pause?: () => Promise<void> } = {},
): Promise<number> {
  const { budgetMs = 5, monotonic = () => performance.now(), pause = nextImmediate } = options;
  let sliceEnd = monotonic() + budgetMs;
  for (const { key, renew, value } of changes) {
    if (value === undefined) writer.delete(key);
    else writer.put(key, value, renew);
    if (monotonic() < sliceEnd) continue;
    await pause();
    sliceEnd = monotonic() + budgetMs;
  }
  return writer.commit();
}

function nextImmediate(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function keyBytes(key: string): Buffer {
  const bytes = Buffer.from(key);
  if (bytes.length === 0 || bytes.length > MAX_KEY_BYTES) {
    throw new AmbitError('STORE_KEY', `a key of ${bytes.length} bytes; 1 to ${MAX_KEY_BYTES} are possible`);
  }
  return bytes;
}

function full(limit: string): AmbitError {
  return new AmbitError('STORE_FULL', `the shared mesh store is full (${limit})`, {
    advice: 'raise the size of the store in the settings of this program',
  });
}
