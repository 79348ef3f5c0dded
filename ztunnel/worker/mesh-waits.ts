// SPDX-License-Identifier: Apache-2.0
// Connections that wait for news of the mesh: an unknown local workload, an unknown address, a policy that is named and has not
// come. Each is asked again after every change of the store, and at its deadline once more, for the last time.
import type { Loop } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';

/** Asked again; true when it waits no more. `last` says that it has to decide now. */
export type Retry = (last: boolean) => boolean;

class Wait implements TimerTarget {
  readonly #waits: MeshWaits;
  readonly retry: Retry;
  timer: TimerId = 0;

  constructor(waits: MeshWaits, retry: Retry) {
    this.#waits = waits;
    this.retry = retry;
  }

  onTimer(): void {
    this.#waits.expire(this);
  }

  cancel(): void {
    this.#waits.forget(this);
  }
}

/** Something that waits. */
export interface MeshWait {
  /** Nobody is asked any more. */
  cancel(): void;
}

export class MeshWaits {
  readonly #loop: Loop;
  readonly #waiting = new Set<Wait>();

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Asks `retry` whenever the mesh changes, and finally after `ms`. */
  add(ms: number, retry: Retry): MeshWait {
    const wait = new Wait(this, retry);
    wait.timer = this.#loop.after(ms, wait);
    this.#waiting.add(wait);
    return wait;
  }

  /** The mesh changed. */
  retryAll(): void {
    for (const wait of [...this.#waiting]) {
      if (this.#waiting.has(wait) && wait.retry(false)) this.forget(wait);
    }
  }

  /** For the wait itself. */
  expire(wait: Wait): void {
    wait.timer = 0;
    if (this.#waiting.delete(wait)) wait.retry(true);
  }

  /** For the wait itself. */
  forget(wait: Wait): void {
    this.#waiting.delete(wait);
    if (wait.timer !== 0) this.#loop.cancel(wait.timer);
    wait.timer = 0;
  }
}
