// SPDX-License-Identifier: Apache-2.0
// So many requests a second for each caller, with a reserve for a node that starts: one that asks without end keeps
// nobody else waiting. A token bucket per caller; those that are full again are forgotten.

import type { Clock } from '#lib/kit/clock.ts';

const MAX_CALLERS = 4_096;

interface Bucket {
  left: number;
  atMs: number;
}

export interface RateLimitOptions {
  readonly clock: Clock;
  readonly perSecond: number;
  /** What a caller may ask for at once after a silence. */
  readonly burst: number;
}

export class RateLimit {
  readonly #options: RateLimitOptions;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: RateLimitOptions) {
    this.#options = options;
  }

  /** Whether one more request of this caller is within its rate. */
  allow(caller: string): boolean {
    const { burst, clock, perSecond } = this.#options;
    const now = clock.monotonic();
    const bucket = this.#buckets.get(caller) ?? { left: burst, atMs: now };
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.atMs) * perSecond) / 1000);
    bucket.atMs = now;
    // Moved to the end: the first in the map is the one that was silent longest.
    this.#buckets.delete(caller);
    this.#buckets.set(caller, bucket);
    if (this.#buckets.size > MAX_CALLERS) this.#buckets.delete(this.#buckets.keys().next().value ?? caller);
    if (bucket.left < 1) return false;
    bucket.left--;
    return true;
  }
}
