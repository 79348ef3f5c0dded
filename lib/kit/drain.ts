// SPDX-License-Identifier: Apache-2.0
// The end of a program, or of one part of it: begun once, in one of two modes, with a deadline and a reason.
//
//   running --begin('graceful')--> draining --deadline or begin('immediate')--> stopped
import type { Clock } from './clock.ts';

export type DrainMode = 'graceful' | 'immediate';

export class Drain {
  readonly #clock: Clock;
  readonly #started = new AbortController();
  readonly #stopped = new AbortController();
  #reason = '';

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Aborts when draining begins: take no new work. */
  get started(): AbortSignal {
    return this.#started.signal;
  }

  /** Aborts when the deadline has passed: drop what is left. */
  get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  /** Why draining began; empty while running. */
  get reason(): string {
    return this.#reason;
  }

  /** Begins draining; false when it had begun already (an immediate end still cuts a graceful one short). */
  begin(mode: DrainMode, deadlineMs: number, reason: string): boolean {
    const first = !this.#started.signal.aborted;
    if (first) {
      this.#reason = reason;
      this.#started.abort(reason);
      if (mode === 'graceful') this.#clock.after(deadlineMs, () => this.#stopped.abort(reason));
    }
    if (mode === 'immediate') this.#stopped.abort(reason);
    return first;
  }
}
