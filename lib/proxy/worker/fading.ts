// SPDX-License-Identifier: Apache-2.0
// Which series have had their day. Where pods come and go each brings labels of its own, and a series that nobody will ever count in again
// would be told, and take room, for ever: in the process that counts, in the main process, and in whoever scrapes them. One is forgotten
// when nothing has been counted in it for a while, no connection is open that would, and a workload it tells of is gone.
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerTarget } from '#lib/loop/timer-wheel.ts';

/** Since the last count, in ms: two scrapes a minute apart have seen it. */
export const FADE_MS = 180_000;
/** Between two looks, in ms. */
const LOOK_MS = 30_000;

/** What the looks remember of a series. */
export class Fading {
  /** Nothing is counted in it from now on; whoever holds it looks for another. */
  forgotten = false;
  #stamp = Number.NaN;
  #since = 0;

  /**
   * Whether nothing has been counted for FADE_MS, as far as looks tell.
   * @param stamp grows with whatever is counted
   * @param now monotonic ms
   */
  idle(stamp: number, now: number): boolean {
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#since = now;
      return false;
    }
    return now - this.#since >= FADE_MS;
  }
}

/** Whoever keeps series: looks through them when it is told to. */
export interface Fader {
  /** @param now monotonic ms */
  fade(now: number): void;
}

/** Tells faders to look, every half minute. */
export class FadeLooks implements TimerTarget {
  readonly #loop: Loop;
  readonly #faders: readonly Fader[];

  constructor(loop: Loop, faders: readonly Fader[]) {
    this.#loop = loop;
    this.#faders = faders;
    loop.afterAbout(LOOK_MS, this);
  }

  onTimer(): void {
    this.#loop.afterAbout(LOOK_MS, this);
    for (const fader of this.#faders) fader.fade(this.#loop.now);
  }
}
