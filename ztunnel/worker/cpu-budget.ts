// SPDX-License-Identifier: Apache-2.0
// A share of this process's time for what is nice to have. It fills as time goes by and may be spent in bursts; when
// it is used up, whoever asks does without.

/** What may be spent at once after a pause: the share of so much time. */
const BURST_MS = 1000;

export class CpuBudget {
  readonly #share: number;
  readonly #most: number;
  readonly #monotonic: () => number;
  #left: number;
  #at: number;

  /** @param share of one processor, 0 to 1 */
  constructor(share: number, monotonic: () => number) {
    this.#share = share;
    this.#most = share * BURST_MS;
    this.#monotonic = monotonic;
    this.#left = this.#most;
    this.#at = monotonic();
  }

  /** Whether anything is left. */
  get some(): boolean {
    return this.#fill(this.#monotonic()) > 0;
  }

  /** Whether so much is left that something new may be begun. */
  get enough(): boolean {
    return this.#fill(this.#monotonic()) > this.#most / 2;
  }

  /** Does `work` and pays for it. */
  spend(work: () => void): void {
    const began = this.#monotonic();
    this.#fill(began);
    work();
    this.#left -= this.#monotonic() - began;
  }

  #fill(now: number): number {
    this.#left = Math.min(this.#most, this.#left + (now - this.#at) * this.#share);
    this.#at = now;
    return this.#left;
  }
}
