// SPDX-License-Identifier: Apache-2.0
// A crowded loop lets others finish before it runs. A woken process ordinarily takes the processor from the one that woke it, so
// that with many connections each answer costs two switches; as a batch process (sched(7)) it finds several events when its
// turn comes. With few connections there is nothing to gather, and on a node whose processors are all taken by applications it would
// wait for their time slices (p99 of one connection 5 to 25 ms): so only while turns bring several events.
import type { Loop, TurnObserver } from './loop.ts';
import type { TimerTarget } from './timer-wheel.ts';

/** Between two looks, in ms, and up to the next turn of afterAbout(). */
const LOOK_MS = 200;
/** Events a turn, on average, from which on waking early costs more than it gives; and from which down it pays again. */
const CROWDED = 3;
const CALM = 2;
/** Fewer turns than this say nothing. */
const ENOUGH_TURNS = 50;

export class BatchScheduling implements TimerTarget, TurnObserver {
  /** Waking does not preempt now. */
  batch = false;
  readonly #loop: Loop;
  readonly #apply: (batch: boolean) => void;
  #events = 0;
  #turns = 0;

  /** `apply` tells the kernel; called on each change. */
  constructor(loop: Loop, apply: (batch: boolean) => void) {
    this.#loop = loop;
    this.#apply = apply;
    loop.afterAbout(LOOK_MS, this);
  }

  onTurn(events: number): void {
    this.#events += events;
    this.#turns++;
  }

  onTimer(): void {
    this.#loop.afterAbout(LOOK_MS, this);
    const average = this.#turns < ENOUGH_TURNS ? 0 : this.#events / this.#turns;
    this.#events = this.#turns = 0;
    const batch = average >= (this.batch ? CALM : CROWDED);
    if (batch === this.batch) return;
    this.batch = batch;
    this.#apply(batch);
  }
}
