// SPDX-License-Identifier: Apache-2.0
// Waiting longer after each failure: a number sequence, no timer. The caller sleeps on its own clock.

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Each wait is this many times the one before. */
  readonly factor?: number;
  /** 0.2 spreads each wait over ±20 %, so that many clients do not return in step. */
  readonly jitter?: number;
  /** Uniform in [0, 1); needed with `jitter`. */
  readonly random?: () => number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #nextMs: number;

  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#nextMs = options.initialMs;
  }

  /** The wait before the coming attempt, in milliseconds; the one after it will be longer. */
  next(): number {
    const { maxMs, factor = 2, jitter = 0, random = () => 0.5 } = this.#options;
    const wait = this.#nextMs;
    this.#nextMs = Math.min(maxMs, wait * factor);
    return wait * (1 + jitter * (2 * random() - 1));
  }

  /** After a success: the next failure begins anew. */
  reset(): void {
    this.#nextMs = this.#options.initialMs;
  }
}
