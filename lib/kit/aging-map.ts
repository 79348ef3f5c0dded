// SPDX-License-Identifier: Apache-2.0
// A map for what was worked out and may be asked for again: what nobody has asked for during a minute or two is forgotten. Where keys
// come and go, as pods do, a bound on their number alone would fill up with keys that never come again.
//
// Two generations: what is asked for moves into the young one; now and then, when something is added, the old one is dropped
// and the young one becomes old. So nothing runs at rest, and keeping what is asked for costs no bookkeeping.

export interface AgingOptions {
  /** Entries of a generation at most; beyond it the old one is dropped before its time. */
  readonly most: number;
  /** An entry is kept for this long after it was last asked for, and forgotten after twice as long if others are added; 60 s unless told. */
  readonly ageMs?: number;
  /** Monotonic ms; performance.now unless told. */
  readonly monotonic?: () => number;
}

const AGE_MS = 60_000;

export class AgingMap<K, V extends {}> {
  readonly #most: number;
  readonly #ageMs: number;
  readonly #monotonic: () => number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();
  #turnedAt: number;

  constructor({ most, ageMs = AGE_MS, monotonic }: AgingOptions) {
    this.#most = most;
    this.#ageMs = ageMs;
    this.#monotonic = monotonic ?? (() => performance.now());
    this.#turnedAt = this.#monotonic();
  }

  /** Entries kept now. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Hot. */
  get(key: K): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined || this.#old.size === 0) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#young.set(key, old);
    return old;
  }

  set(key: K, value: V): void {
    const now = this.#monotonic();
    if (now - this.#turnedAt >= this.#ageMs || this.#young.size >= this.#most) {
      this.#turnedAt = now;
      this.#old = this.#young;
      this.#young = new Map();
    } else this.#old.delete(key);
    this.#young.set(key, value);
  }
}
