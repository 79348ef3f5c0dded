// SPDX-License-Identifier: Apache-2.0
// Lets so many through at a time, so many wait, and turns the rest away: so that a crowd at one door does not become a
// crowd at the next.

export class Gate {
  readonly #limit: number;
  readonly #maxWaiting: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number, maxWaiting: number) {
    this.#limit = limit;
    this.#maxWaiting = maxWaiting;
  }

  /** Runs `work` when there is room; undefined, at once, when too many wait already. */
  async run<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.#inside >= this.#limit) {
      if (this.#waiting.length >= this.#maxWaiting) return undefined;
      // Whoever leaves hands over the place, so that nobody slips in between.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#inside++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#inside--;
      else next();
    }
  }
}
