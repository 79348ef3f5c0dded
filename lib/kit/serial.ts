// SPDX-License-Identifier: Apache-2.0
// One piece of work at a time for each key, in the order in which they came; work for different keys runs side by side.

export class Serial {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Begins when whatever was asked for before by this key has ended, well or not. Resolves and rejects as `work` does. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const result = before.then(work, work);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, settled);
    void settled.then(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    });
    return result;
  }
}
