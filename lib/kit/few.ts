// SPDX-License-Identifier: Apache-2.0
// Sets by key of which most are small. A Set with one member takes 200 bytes and more; where a large mesh has a million
// of them, one member stands by itself, few are a list, and only many are a Set.

/** Longer lists become a Set: up to here looking through one is as quick. */
const LISTED = 32;

type Few<T> = T | T[] | Set<T>;

/** @typeParam T must be no array and no Set */
export class FewByKey<T> {
  readonly #byKey = new Map<string, Few<T>>();

  get size(): number {
    return this.#byKey.size;
  }

  keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  add(key: string, one: T): void {
    const known = this.#byKey.get(key);
    if (known === undefined) this.#byKey.set(key, one);
    else if (known instanceof Set) known.add(one);
    else if (!Array.isArray(known)) {
      if (known !== one) this.#byKey.set(key, [known, one]);
    } else if (!known.includes(one)) {
      if (known.length < LISTED) known.push(one);
      else this.#byKey.set(key, new Set([...known, one]));
    }
  }

  delete(key: string, one: T): void {
    const known = this.#byKey.get(key);
    if (known === one) this.#byKey.delete(key);
    else if (known instanceof Set) {
      if (known.delete(one) && known.size === 0) this.#byKey.delete(key);
    } else if (Array.isArray(known)) {
      const at = known.indexOf(one);
      if (at !== -1) known.splice(at, 1);
      if (known.length === 1) this.#byKey.set(key, known[0]!);
    }
  }

  /** In the order in which they came. The array is the caller's. */
  of(key: string): T[] {
    const known = this.#byKey.get(key);
    if (known === undefined) return [];
    return known instanceof Set || Array.isArray(known) ? [...known] : [known];
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /** Calls `visit` with each; what it adds or deletes under the key may or may not be visited. */
  each(key: string, visit: (one: T) => void): void {
    const known = this.#byKey.get(key);
    if (known === undefined) return;
    if (known instanceof Set || Array.isArray(known)) for (const one of known) visit(one);
    else visit(known);
  }
}
