// SPDX-License-Identifier: Apache-2.0
// A crowded loop lets others finish before it runs. A woken process ordinarily takes the processor from the one that woke it, so
// that with many connections each answer costs two switches; as a batch process (sched(7)) it finds several events when its
// turn comes. With few connections there is nothing to gather, and on a node whose processors are all taken by applications it would
// wait for their time slices (p99 of one connection 5 to 25 ms): so only while turns bring several events.
import type { Loop, TurnObserver } from './loop.ts';
import type { TimerTarget } from './timer-wheel.ts';

/** Turns whose events tell how crowded it is: some 10 ms of a busy loop, so that a burst is gathered from its beginning. */
const WINDOW_TURNS = 64;
/** A loop that does not make as many turns meanwhile, in ms and up to the next turn of afterAbout(), is not crowded. */
const LOOK_MS = 200;
/** Events a turn, on average, from which on waking early costs more than it gives; and from which down it pays again. */
const CROWDED = 3;
const CALM = 2;

export class BatchScheduling implements TimerTarget, TurnObserver {
  /** Waking does not preempt now. */
  batch = false;
  readonly #loop: Loop;
  readonly #apply: (batch: boolean) => void;
  #events = 0;
  #turns = 0;
  /** Whether a window was filled since the last look. */
  #filled = false;

  /** `apply` tells the kernel; called on each change. */
  constructor(loop: Loop, apply: (batch: boolean) => void) {
    this.#loop = loop;
    this.#apply = apply;
    loop.afterAbout(LOOK_MS, this);
  }

  onTurn(events: number): void {
    this.#events += events;
    if (++this.#turns < WINDOW_TURNS) return;
    this.#filled = true;
    this.#judge(this.#events / WINDOW_TURNS);
  }

  onTimer(): void {
    this.#loop.afterAbout(LOOK_MS, this);
    if (!this.#filled) this.#judge(0);
    this.#filled = false;
  }

  /** `average` events in each of the turns since the last call. */
  #judge(average: number): void {
    this.#events = this.#turns = 0;
    const batch = average >= (this.batch ? CALM : CROWDED);
    if (batch === this.batch) return;
    this.batch = batch;
    this.#apply(batch);
  }
}
