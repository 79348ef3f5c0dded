// SPDX-License-Identifier: Apache-2.0
// Memory that a data-plane process no longer needs goes back to the kernel. Node would do that between two events of its own
// loop, which never turns here: so the heap keeps closed connections until it has doubled, and malloc what compiling took.
import { releaseFreeMemory } from '#lib/linux/process.ts';
import type { Loop, TurnObserver } from './loop.ts';
import type { TimerTarget } from './timer-wheel.ts';

/** Between two looks, in ms. Giving pages back costs 0.3 to 0.6 ms with 7 MB to give. */
const LOOK_MS = 2_000;
/** A loop that worked no more than this since the last look has time for a collection: 15 to 30 ms, a pause for everybody. */
const QUIET_MS = 50;
/** Growth since the last collection, of objects or of the pages that V8's own ones leave empty, that makes one worth its pause, in bytes. */
const WORTH_BYTES = 4 * 1024 * 1024;
/** The same where nothing has happened since the last look: a pause disturbs nobody, and what is not given back now stays for as long as it rests. */
const RESTING_WORTH_BYTES = 512 * 1024;

// A loop that is never quiet would keep what its worst moment took: while requests waited for the processor they outlived collections, the
// young generation grew to its bound for it, and nothing shrinks it again. So now and then a pause is taken there, too.

/** A loop that worked no more than this between two looks has room for a pause now and then. */
const CALM_MS = 500;
/** Looks in a row that have to find the loop so: one alone may be the beginning of a burst, which is no time for a pause. */
const CALM_LOOKS = 5;
/** Between two collections of such a loop, in ms. */
const SELDOM_MS = 60_000;
/** Pages taken since the last collection that make one worth its pause there, in bytes. V8 would wait for 15 to 30 MB, which takes minutes. */
const TAKEN_BYTES = 8 * 1024 * 1024;
/** A larger heap is left to V8: its pause would be longer than a request may wait. */
const SMALL_BYTES = 64 * 1024 * 1024;

export interface HeapTools {
  /** Bytes of the JavaScript heap in use, garbage included. */
  used(): number;
  /** Bytes that the heap holds of the kernel's, free ones included. */
  taken(): number;
  /** Collects all of it, now. */
  collect(): void;
  /** Gives free pages of malloc back. */
  release(): void;
}

/** What Node offers; collecting needs its flag --expose-gc, and without it is left to V8. */
export function nodeHeap(): HeapTools {
  const collect = (globalThis as { readonly gc?: (options: object) => void }).gc;
  return {
    used: () => process.memoryUsage().heapUsed,
    taken: () => process.memoryUsage().heapTotal,
    // An ordinary collection would keep the emptied pages.
    collect: () => collect?.({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
    release: releaseFreeMemory,
  };
}

export class Housekeeping implements TimerTarget, TurnObserver {
  readonly #loop: Loop;
  readonly #heap: HeapTools;
  #busyMs = 0;
  /** Looks in a row before which nothing had happened. */
  #idleLooks = 0;
  /** Looks in a row that found the loop calm, and not quiet. */
  #calmLooks = 0;
  #events = 0;
  // None was collected yet: all there is may be garbage.
  #usedAfter = 0;
  #takenAfter = 0;
  #collectedAt: number;

  constructor(loop: Loop, heap: HeapTools) {
    this.#loop = loop;
    this.#heap = heap;
    this.#collectedAt = loop.now;
    loop.afterAbout(LOOK_MS, this);
  }

  onTurn(events: number, busyMicros: number): void {
    this.#busyMs += busyMicros / 1000;
    this.#events += events;
  }

  onTimer(): void {
    this.#loop.afterAbout(LOOK_MS, this);
    this.#idleLooks = this.#events === 0 ? this.#idleLooks + 1 : 0;
    this.#calmLooks = this.#busyMs > QUIET_MS && this.#busyMs <= CALM_MS ? this.#calmLooks + 1 : 0;
    this.#events = 0;
    // Behind the first quiet look there is nothing new to give, and looking for it would be a third of what a process at rest costs.
    if (this.#idleLooks > 1) return;
    if (this.#isWorthIt()) {
      this.#heap.collect();
      this.#usedAfter = this.#heap.used();
      this.#takenAfter = this.#heap.taken();
      this.#collectedAt = this.#loop.now;
    }
    this.#heap.release();
    this.#busyMs = 0;
  }

  #isWorthIt(): boolean {
    const taken = this.#heap.taken() - this.#takenAfter;
    if (this.#busyMs <= QUIET_MS) {
      const worth = this.#idleLooks > 0 ? RESTING_WORTH_BYTES : WORTH_BYTES;
      return Math.max(taken, this.#heap.used() - this.#usedAfter) >= worth;
    }
    if (this.#calmLooks < CALM_LOOKS || this.#loop.now - this.#collectedAt < SELDOM_MS) return false;
    return this.#takenAfter <= SMALL_BYTES && taken >= TAKEN_BYTES;
  }
}
