// SPDX-License-Identifier: Apache-2.0
// When to tell the clients about changes: at once when it has been quiet, together when it is busy, and never later
// than a bound. One pod that becomes ready is known everywhere at once; a roll-out of thousands is few pushes. Since
// a push carries only what changed, waiting for quiet gains nothing: there is a pause between pushes instead, and it
// grows with what the last push cost.
//
//   idle ──change──▶ due (now, or when the pause is over) ──fire──▶ idle, pause begins

import type { Clock } from '#lib/kit/clock.ts';

/** The pause is this many times what the last push took, so that pushing never takes more than a third of the time. */
const PAUSE_PER_COST = 2;

export interface DebounceOptions {
  readonly clock: Clock;
  /** The shortest pause between two pushes. */
  readonly afterMs: number;
  /** The longest pause, hence the longest a change waits. */
  readonly maxMs: number;
  /** Gets the number of changes merged and how long the first of them waited. */
  readonly fire: (merged: number, waitedMs: number) => void;
}

export class Debounce {
  readonly #options: DebounceOptions;
  #notBefore = Number.NEGATIVE_INFINITY;
  #firstAt = 0;
  #merged = 0;
  #cancel: (() => void) | undefined;

  constructor(options: DebounceOptions) {
    this.#options = options;
  }

  /** Something changed. Changes of one turn are always told together. */
  change(): void {
    this.#merged++;
    if (this.#cancel !== undefined) return;
    const { clock } = this.#options;
    this.#firstAt = clock.monotonic();
    this.#cancel = clock.after(Math.max(0, this.#notBefore - this.#firstAt), () => this.#fire());
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #fire(): void {
    const { afterMs, clock, fire, maxMs } = this.#options;
    const started = clock.monotonic();
    const merged = this.#merged;
    this.#merged = 0;
    this.#cancel = undefined;
    try {
      fire(merged, started - this.#firstAt);
    } finally {
      const ended = clock.monotonic();
      this.#notBefore = ended + Math.min(maxMs, Math.max(afterMs, (ended - started) * PAUSE_PER_COST));
    }
  }
}
