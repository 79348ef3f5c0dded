// SPDX-License-Identifier: Apache-2.0
// What comes and goes thousands of times a second and has to be found again, each for its own end. Not a Set: one that is added to and
// deleted from is moved to new memory again and again, what it leaves behind still points at its members of that time and at the memory
// that followed, and once some of that is old every young collection takes all of it for alive: a third of what streams that
// are reset at once are made of, kept until the next full collection.

/** Can be on one roster at a time. */
export interface Enrolled {
  /** Owned by the roster. Starts at -1: on none. */
  place: number;
}

export class Roster<T extends Enrolled> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  has(one: T): boolean {
    return this.#members[one.place] === one;
  }

  /** Does nothing when it is on it. */
  add(one: T): void {
    if (this.has(one)) return;
    one.place = this.#members.length;
    this.#members.push(one);
  }

  /** False when it was not on it. The last one takes its place. */
  delete(one: T): boolean {
    if (!this.has(one)) return false;
    const last = this.#members.pop()!;
    if (last !== one) {
      this.#members[one.place] = last;
      last.place = one.place;
    }
    one.place = -1;
    return true;
  }

  /** All of now; the array is the caller's. */
  all(): T[] {
    return this.#members.slice();
  }

  /**
   * Visits `most` members at most, beginning with the one at `from` (`size - 1` for a walk over all) and on towards the first; returns where
   * to go on, -1 at the end. Whoever stays is visited, whatever comes and goes during a walk and between its parts; who moved meanwhile
   * maybe twice.
   */
  walk(from: number, most: number, visit: (one: T) => void): number {
    let at = from;
    for (let k = 0; k < most; k++) {
      at = Math.min(at, this.#members.length - 1);
      if (at < 0) return -1;
      visit(this.#members[at--]!);
    }
    return Math.min(at, this.#members.length - 1);
  }
}
