// SPDX-License-Identifier: Apache-2.0
// Choices made by octets, one each, so that what a fuzzer does to bytes changes a drawn value a little, as a
// property's shrinking does. When the octets are used up every choice is the first: draw the plainest thing there.

export class Choices {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** A whole number in [0, bound); `bound` is 256 at most. */
  below(bound: number): number {
    return this.#at < this.#bytes.length ? this.#bytes[this.#at++]! % bound : 0;
  }

  /** One of them. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  /** Yes once in so many. */
  once(inSoMany: number): boolean {
    return this.below(inSoMany) === inSoMany - 1;
  }

  /** At least `least`, at most `most` of what `draw` gives. */
  list<T>(least: number, most: number, draw: () => T): T[] {
    return Array.from({ length: least + this.below(most - least + 1) }, draw);
  }
}
