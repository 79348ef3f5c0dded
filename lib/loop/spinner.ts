// SPDX-License-Identifier: Apache-2.0
// Polls for a moment before the loop blocks, when that has been paying: waking a blocked thread costs more than a short
// wait, but on a shared core the same spin takes time from whoever would have sent the next event (one connection 20.4k → 25.1k requests/s,
// 64 connections a third slower). So it spins only after turns of few events, keeps score, and stops when the kernel takes the core away.
import type { Epoll } from '#lib/linux/epoll.ts';

/** Turns with more events than this are a busy loop, where spinning only costs. */
const FEW_EVENTS = 3;
/** Longest spin in ms: about twice what waking up costs. */
const SPIN_MS = 0.06;
/** Score gained by a spin that caught an event, lost by one that did not; bounds and threshold of the score. */
const GAIN = 2;
const MAX_SCORE = 32;
/** With a bad score, one wait in this many still tries. */
const RETRY_EVERY = 64;
/** How often the kernel is asked whether the core was taken from us, in ms, and how many times a look is too many. */
const LOOK_EVERY_MS = 100;
const MANY_PREEMPTIONS = 3;
/** Rest after preemptions, in ms. */
const REST_MS = 1000;

export class Spinner {
  readonly #monotonic: () => number;
  readonly #preemptions: () => number;
  #lastEvents = 0;
  #score = 0;
  #skipped = 0;
  #restUntil = 0;
  #nextLook = 0;
  #seen = 0;

  /** `preemptions`: involuntary context switches of the process so far. */
  constructor(monotonic: () => number, preemptions = () => process.resourceUsage().involuntaryContextSwitches) {
    this.#monotonic = monotonic;
    this.#preemptions = preemptions;
    this.#seen = preemptions();
  }

  /** Polls `epoll` without blocking until something happens or the spin is over; returns the events, 0, or a negative errno. */
  poll(epoll: Epoll): number {
    if (!this.#worthIt()) return 0;
    const start = this.#monotonic();
    if (start < this.#restUntil || this.#preempted(start)) return 0;
    do {
      for (let k = 0; k < 8; k++) {
        const events = epoll.wait(0);
        if (events === 0) continue;
        this.#score = Math.min(MAX_SCORE, this.#score + GAIN);
        return events;
      }
    } while (this.#monotonic() - start < SPIN_MS);
    this.#score = Math.max(-MAX_SCORE, this.#score - 1);
    return 0;
  }

  /** Tells how many events the last wait gave, spinning or not. */
  note(events: number): void {
    this.#lastEvents = events;
  }

  #worthIt(): boolean {
    if (this.#lastEvents > FEW_EVENTS) return false;
    if (this.#score >= 0) return true;
    return ++this.#skipped % RETRY_EVERY === 0;
  }

  #preempted(now: number): boolean {
    if (now < this.#nextLook) return false;
    this.#nextLook = now + LOOK_EVERY_MS;
    const total = this.#preemptions();
    const recent = total - this.#seen;
    this.#seen = total;
    if (recent <= MANY_PREEMPTIONS) return false;
    this.#restUntil = now + REST_MS;
    return true;
  }
}
