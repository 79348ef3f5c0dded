// SPDX-License-Identifier: Apache-2.0
// How much plaintext of one connection is looked at before its neighbours have their turn, by the time that it took: streams can be
// opened and reset in 20 bytes each, so bytes alone say nothing about work.

/** A piece of plaintext that took longer is followed by a smaller one, in the next turn. In ms. */
const SLOW_MS = 1;
const LEAST_BYTES = 2048;
/** Of so many smaller pieces one is timed, for all of them. */
const SMALL_PIECES = 16;

export class PlaintextBite {
  /** Bytes to take next. */
  bytes: number;
  readonly #most: number;
  /** Small pieces since one was timed. */
  #small = 0;

  constructor(most: number) {
    this.bytes = most;
    this.#most = most;
  }

  /** Whether the piece of `n` bytes that comes now is to be timed. */
  timed(n: number): boolean {
    if (n < LEAST_BYTES && ++this.#small < SMALL_PIECES) return false;
    this.#small = 0;
    return true;
  }

  /** A timed piece of `n` bytes took `ms`. False when that was long: the rest waits for the next turn. */
  took(n: number, ms: number): boolean {
    const slow = ms * (n < LEAST_BYTES ? SMALL_PIECES : 1) > SLOW_MS;
    if (slow && n >= LEAST_BYTES) this.bytes = Math.max(LEAST_BYTES, n >> 2);
    else if (!slow) this.bytes = Math.min(this.#most, this.bytes * 2);
    return !slow;
  }
}
