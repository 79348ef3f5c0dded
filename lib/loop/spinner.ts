// SPDX-License-Identifier: Apache-2.0
// Polls for a moment before the loop blocks, when that has been paying: waking a blocked thread, above all on a core that has gone to
// sleep, costs more than a short wait. Between two looks it yields the core, so that whoever shares it and would send the next event runs
// meanwhile: a spin that kept it made one connection slower than none did. It spins only after turns of few events, keeps
// score, and rests when a yield took long: then somebody else has work for this core.
import { elapsedMicros, type LoopClock } from '#lib/linux/clock.ts';
import type { Epoll } from '#lib/linux/epoll.ts';
import { yieldCore } from '#lib/linux/process.ts';

/** Turns with more events than this on average are a busy loop, where spinning only costs. */
const FEW_EVENTS = 2;
/** Weight of the last turn in that average. */
const LAST_TURN = 1 / 16;
/** Longest spin, µs: about twice what waking up costs. Longer ones serve nobody better and cost more. */
const SPIN_US = 60;
/** Looks between two yields. */
const LOOKS = 2;
/** Score gained by a spin that caught an event, lost by one that did not; bounds and threshold of the score. */
const GAIN = 2;
const MAX_SCORE = 32;
/** With a bad score, one wait in this many still tries. */
const RETRY_EVERY = 64;
/** A yield that took this long gave the core to somebody who computes, µs; the rest after it. */
const LONG_YIELD_US = 1000;
const REST_US = 100_000;

export class Spinner {
  readonly #clock: Pick<LoopClock, 'micros'>;
  readonly #yieldCore: () => void;
  #events = 0;
  #score = 0;
  #skipped = 0;
  #rests = false;
  /** Since when it does, µs. */
  #restsSince = 0;

  constructor(clock: Pick<LoopClock, 'micros'>, yieldTo = yieldCore) {
    this.#clock = clock;
    this.#yieldCore = yieldTo;
  }

  /** Polls `epoll` without blocking until something happens or the spin is over; returns the events, 0, or a negative errno. */
  poll(epoll: Pick<Epoll, 'wait'>): number {
    if (!this.#worthIt()) return 0;
    const start = this.#clock.micros();
    if (this.#rests && elapsedMicros(this.#restsSince, start) < REST_US) return 0;
    this.#rests = false;
    let before = start;
    do {
      this.#yieldCore();
      const now = this.#clock.micros();
      if (elapsedMicros(before, now) >= LONG_YIELD_US) {
        this.#rests = true;
        this.#restsSince = now;
      }
      for (let k = 0; k < LOOKS; k++) {
        const events = epoll.wait(0);
        if (events === 0) continue;
        this.#score = Math.min(MAX_SCORE, this.#score + GAIN);
        return events;
      }
      before = now;
    } while (elapsedMicros(start, before) < SPIN_US);
    this.#score = Math.max(-MAX_SCORE, this.#score - 1);
    return 0;
  }

  /** Tells how many events the last wait gave, spinning or not. */
  note(events: number): void {
    this.#events += (events - this.#events) * LAST_TURN;
  }

  #worthIt(): boolean {
    if (this.#events > FEW_EVENTS) return false;
    if (this.#score >= 0) return true;
    return ++this.#skipped % RETRY_EVERY === 0;
  }
}
