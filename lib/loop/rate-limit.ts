// SPDX-License-Identifier: Apache-2.0
// So many events a second, and as many at once after a pause.

export class RateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  #left: number;
  #at: number;

  /** `now` is monotonic ms. */
  constructor(perSecond: number, now: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = Math.max(1, perSecond);
    this.#left = this.#burst;
    this.#at = now;
  }

  /** Whether one more may happen at `now`; if so it counts. */
  take(now: number): boolean {
    this.#left = Math.min(this.#burst, this.#left + (now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
