// SPDX-License-Identifier: Apache-2.0
// Everything open of one worker that clients began: looked at once a second, ended when the worker drains.
import { type Enrolled, Roster } from '#lib/kit/roster.ts';
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerTarget } from '#lib/loop/timer-wheel.ts';

export interface Live extends Enrolled {
  drain(): void;
  kill(): void;
  sweep(now: number): void;
}

const SWEEP_MS = 1000;

export class Connections implements TimerTarget {
  readonly #loop: Loop;
  readonly #live = new Roster<Live>();
  #onEmpty: (() => void) | undefined;

  constructor(loop: Loop) {
    this.#loop = loop;
    loop.after(SWEEP_MS, this);
  }

  get size(): number {
    return this.#live.size;
  }

  add(live: Live): void {
    this.#live.add(live);
  }

  delete(live: Live): void {
    if (this.#live.delete(live) && this.#live.size === 0) this.#onEmpty?.();
  }

  /** Ends all of them in good order; `onEmpty` is called when none is left. */
  drain(onEmpty: () => void): void {
    this.#onEmpty = onEmpty;
    for (const live of this.#live.all()) live.drain();
    if (this.#live.size === 0) onEmpty();
  }

  kill(): void {
    for (const live of this.#live.all()) live.kill();
  }

  onTimer(): void {
    this.#loop.after(SWEEP_MS, this);
    const { now } = this.#loop;
    this.#live.walk(this.#live.size - 1, Number.POSITIVE_INFINITY, (live) => live.sweep(now));
  }
}
