// SPDX-License-Identifier: Apache-2.0
// Input of one connection whose share of a turn was over before all of it was looked at. Copied off the arena that it came in,
// which is others' meanwhile, and handed over from there piece by piece when the connection's turn comes.
import type { Arena } from '#lib/linux/arena.ts';

/** Put back into the arena at a time: what is not taken of it is copied once more. */
const PIECE = 8 * 1024;

export class Leftover {
  readonly #bytes: Buffer;
  #at = 0;

  /** A copy of `bytes[start, end)`. */
  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = Buffer.allocUnsafeSlow(end - start);
    bytes.copy(this.#bytes, 0, start, end);
  }

  /** How many there still are. */
  get bytes(): number {
    return this.#bytes.length - this.#at;
  }

  /** Copies the first of them to the front of `arena`; how many. */
  peek(arena: Arena): number {
    return this.#bytes.copy(arena.bytes, 0, this.#at, Math.min(this.#bytes.length, this.#at + PIECE));
  }

  /** So many of the first have been taken. */
  taken(count: number): void {
    this.#at += count;
  }
}
