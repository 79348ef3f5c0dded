// SPDX-License-Identifier: Apache-2.0
// Named tasks hold readiness back until each is released; a task may take hold again (a lost connection, say).

export class Readiness {
  readonly #pending = new Map<string, number>();

  /** Holds readiness under `name`; the returned function releases this hold, once. */
  hold(name: string): () => void {
    this.#pending.set(name, (this.#pending.get(name) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const left = this.#pending.get(name)! - 1;
      if (left === 0) this.#pending.delete(name);
      else this.#pending.set(name, left);
    };
  }

  ready(): boolean {
    return this.#pending.size === 0;
  }

  /** Names of what is still awaited, sorted. */
  pending(): string[] {
    return [...this.#pending.keys()].sort();
  }
}
