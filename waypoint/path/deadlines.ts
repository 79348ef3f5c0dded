// SPDX-License-Identifier: Apache-2.0
// The clocks of a request on its way to a server: the route's for all of it, one for each try, and the pause between two tries.
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';

export interface DeadlineOwner {
  onRouteTimeout(): void;
  onTryTimeout(): void;
  onPauseOver(): void;
}

export class Deadlines implements TimerTarget {
  readonly #loop: Loop;
  readonly #owner: DeadlineOwner;
  #route: TimerId = 0;
  #try: TimerId = 0;
  #pause: TimerId = 0;

  constructor(loop: Loop, owner: DeadlineOwner) {
    this.#loop = loop;
    this.#owner = owner;
  }

  armRoute(ms: number): void {
    this.disarmRoute();
    this.#route = this.#loop.after(ms, this);
  }

  armTry(ms: number): void {
    this.disarmTry();
    this.#try = this.#loop.after(ms, this);
  }

  armPause(ms: number): void {
    this.#pause = this.#loop.after(ms, this);
  }

  disarmRoute(): void {
    if (this.#route !== 0) this.#loop.cancel(this.#route);
    this.#route = 0;
  }

  disarmTry(): void {
    if (this.#try !== 0) this.#loop.cancel(this.#try);
    this.#try = 0;
  }

  disarm(): void {
    this.disarmRoute();
    this.disarmTry();
    if (this.#pause !== 0) this.#loop.cancel(this.#pause);
    this.#pause = 0;
  }

  onTimer(id: TimerId): void {
    if (id === this.#pause) {
      this.#pause = 0;
      this.#owner.onPauseOver();
    } else if (id === this.#route) {
      this.#route = 0;
      this.#owner.onRouteTimeout();
    } else if (id === this.#try) {
      this.#try = 0;
      this.#owner.onTryTimeout();
    }
  }
}
