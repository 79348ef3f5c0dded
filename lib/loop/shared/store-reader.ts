// SPDX-License-Identifier: Apache-2.0
// Reads the mesh store from a data-plane process: no lock, no wait, no garbage. See store.ts for the layout.
import {
  HASH,
  hashKey,
  KEY_LENGTH,
  MOVES,
  openStore,
  RECORD_HEADER,
  RECORD_VERSION,
  RECORDS,
  SEQUENCE,
  SLOTS,
  type StoreParts,
  UNIT,
  VALUE_LENGTH,
  VERSION,
} from './store.ts';

/** What get() found: nothing; the version that the caller knows; another, now in `value`. */
export const MISSING = 0;
export const SAME = 1;
export const FOUND = 2;
export type Lookup = typeof MISSING | typeof SAME | typeof FOUND;

/** Tries before a record that keeps changing under the reader is given up; the writer would have to replace one key that often in microseconds. */
const TRIES = 64;

export class StoreReader {
  /** The value found, copied; valid until the next get(). */
  value: Buffer = Buffer.alloc(4096);
  /** Length of it: `value` is longer. */
  valueLength = 0;
  /** Version of the record found: pass it to the next get() of this key to learn whether a decoded value still holds. */
  recordVersion = 0;
  readonly #parts: StoreParts;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** Maps the store behind a descriptor, read-only. Throws REGION_KIND. */
  static open(fd: number): StoreReader {
    return new StoreReader(openStore(fd));
  }

  /** Changes with every commit of the writer. */
  get version(): number {
    return Atomics.load(this.#parts.header, VERSION);
  }

  get records(): number {
    return Atomics.load(this.#parts.header, RECORDS);
  }

  /** Looks a key up. `knownVersion` is the recordVersion of a value that the caller still holds, 0 for none. Hot. */
  get(key: Uint8Array, keyLength: number, knownVersion = 0): Lookup {
    const hash = hashKey(key, keyLength);
    for (let tries = 0; tries < TRIES; tries++) {
      const moves = Atomics.load(this.#parts.header, MOVES);
      const outcome = this.#probe(hash, key, keyLength, knownVersion);
      if (outcome === MISSING && moves !== Atomics.load(this.#parts.header, MOVES)) continue;
      if (outcome !== -1) return outcome;
    }
    return MISSING;
  }

  /** The value of a key as fresh bytes, for callers off the hot path. */
  read(key: string): Buffer | undefined {
    const bytes = Buffer.from(key);
    if (this.get(bytes, bytes.length) !== FOUND) return undefined;
    return Buffer.from(this.value.subarray(0, this.valueLength));
  }

  /** Every value whose key begins with `prefix`, with its key. Records changed meanwhile may be seen old, new, or not at all. */
  *entries(prefix = ''): Generator<readonly [key: string, value: Buffer]> {
    const { header, index, words, bytes } = this.#parts;
    const first = Atomics.load(header, SLOTS);
    const wanted = Buffer.from(prefix);
    for (let slot = first; slot < 2 * first; slot++) {
      const place = Atomics.load(index, slot * 2 + 1);
      if (place === 0) continue;
      const word = place * 4;
      const sequence = Atomics.load(words, word + SEQUENCE);
      const keyLength = words[word + KEY_LENGTH]!;
      const from = place * UNIT + RECORD_HEADER;
      if (!bytes.subarray(from, from + wanted.length).equals(wanted)) continue;
      const key = bytes.toString('utf8', from, from + keyLength);
      const value = Buffer.from(bytes.subarray(from + keyLength, from + keyLength + words[word + VALUE_LENGTH]!));
      if ((sequence & 1) === 0 && Atomics.load(words, word + SEQUENCE) === sequence) yield [key, value];
    }
  }

  /** One walk along the probe chain; -1 when the record changed under our hands. */
  #probe(hash: number, key: Uint8Array, keyLength: number, knownVersion: number): Lookup | -1 {
    const { header, index, words } = this.#parts;
    const first = Atomics.load(header, SLOTS);
    const mask = first - 1;
    let missing: typeof MISSING | -1 = MISSING;
    for (let at = hash & mask, seen = 0; seen <= mask; at = (at + 1) & mask, seen++) {
      const slot = first + at;
      const place = Atomics.load(index, slot * 2 + 1);
      if (place === 0) return missing;
      if (index[slot * 2] !== hash) continue;
      const word = place * 4;
      const sequence = Atomics.load(words, word + SEQUENCE);
      if ((sequence & 1) === 1) return -1;
      // The writer is moving this index entry; the record we want still stands further on, unless it was replaced.
      if (words[word + HASH] !== hash) {
        missing = -1;
        continue;
      }
      if (!this.#sameKey(place, key, keyLength)) continue;
      const version = words[word + RECORD_VERSION]!;
      if (version !== knownVersion) this.#copy(place, keyLength);
      if (Atomics.load(words, word + SEQUENCE) !== sequence) return -1;
      this.recordVersion = version;
      return version === knownVersion ? SAME : FOUND;
    }
    return missing;
  }

  #sameKey(place: number, key: Uint8Array, keyLength: number): boolean {
    const { words, bytes } = this.#parts;
    if (words[place * 4 + KEY_LENGTH] !== keyLength) return false;
    const from = place * UNIT + RECORD_HEADER;
    for (let at = 0; at < keyLength; at++) if (bytes[from + at] !== key[at]) return false;
    return true;
  }

  #copy(place: number, keyLength: number): void {
    const { words, bytes } = this.#parts;
    const length = words[place * 4 + VALUE_LENGTH]!;
    const from = place * UNIT + RECORD_HEADER + keyLength;
    // Lengths of a record that is being replaced may be anything: never grow for more than there is.
    if (length < 0 || from + length > bytes.length) return;
    if (length > this.value.length) this.value = Buffer.alloc(2 ** Math.ceil(Math.log2(length)));
    bytes.copy(this.value, 0, from, from + length);
    this.valueLength = length;
  }
}
