// SPDX-License-Identifier: Apache-2.0
// A clock that stands still until a test moves it.
import type { Clock } from '#lib/kit/clock.ts';

interface Waiter {
  readonly due: number;
  readonly fire: () => void;
}

export class FakeClock implements Clock {
  #elapsed = 0;
  readonly #start: number;
  readonly #waiters = new Set<Waiter>();

  /** `start` is the wall-clock time, in ms since the epoch, at which the clock begins. */
  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#start = start;
  }

  now(): number {
    return this.#start + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  after(ms: number, fn: () => void): () => void {
    const waiter = { due: this.#elapsed + ms, fire: fn };
    this.#waiters.add(waiter);
    return () => this.#waiters.delete(waiter);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const cancel = this.after(ms, resolve);
      signal?.addEventListener('abort', () => {
        cancel();
        reject(signal.reason);
      });
    });
  }

  /** Moves time on by `ms`, firing what falls due in order and letting promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    for (;;) {
      await settle();
      const next = [...this.#waiters].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
      if (next === undefined) break;
      this.#waiters.delete(next);
      this.#elapsed = Math.max(this.#elapsed, next.due);
      next.fire();
    }
    this.#elapsed = end;
    await settle();
  }

  /** How many sleeps and timers are outstanding. */
  get waiting(): number {
    return this.#waiters.size;
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}
