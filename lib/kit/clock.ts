// SPDX-License-Identifier: Apache-2.0
// Time comes in by the door: whoever needs it takes a Clock, so that tests move it by hand.
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Wall-clock time, milliseconds since the epoch: for certificates and log lines only. */
  now(): number;
  /** Monotonic time in milliseconds, with fractions: for durations and deadlines. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `fn` once after `ms`; the returned function cancels it. Does not keep the process alive. */
  after(ms: number, fn: () => void): () => void;
}

// Node fires timers above this at once; renewal times of long certificates exceed it.
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => delay(Math.min(ms, MAX_TIMER_MS), undefined, signal === undefined ? {} : { signal }),
  after: (ms, fn) => {
    const timer = setTimeout(fn, Math.min(ms, MAX_TIMER_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
