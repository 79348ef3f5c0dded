// SPDX-License-Identifier: Apache-2.0
// What one step of a turn leaves for another. Its memory stays: an array whose length is set to 0 gives it away by a call into V8's runtime, and
// the next turn takes new, which was most of the garbage of small requests.

export class TurnList<T extends object> {
  /** How many are on it; whoever has taken all sets it to 0. */
  size = 0;
  readonly #items: (T | null)[] = [];

  push(item: T): void {
    this.#items[this.size++] = item;
  }

  /** The `index`-th, which the list forgets. */
  take(index: number): T {
    const item = this.#items[index]!;
    this.#items[index] = null;
    return item;
  }
}
