// SPDX-License-Identifier: Apache-2.0
// A first snapshot of the mesh leaves several times its size behind as garbage, which Node would keep for the next snapshot that never
// comes. So the main process collects a while after its heap grew. That stops it for 0.1 to 0.3 s at 100,000 workloads; connections are not
// its business, those run on in the data-plane processes.
import type { HeapTools } from '#lib/loop/housekeeping.ts';

/** From a change of the mesh to the look at the heap, in ms: what came with it has come by then. */
const LOOK_AFTER_MS = 3_000;
/** Growth since the last collection that makes one worth its pause: these bytes, and this part of what was left then. */
const WORTH_BYTES = 8 * 1024 * 1024;
const WORTH_PART = 1 / 4;

export class HeapKeeper {
  readonly #heap: Omit<HeapTools, 'taken'>;
  #usedAfter: number;
  #looking = false;

  constructor(heap: Omit<HeapTools, 'taken'>) {
    this.#heap = heap;
    this.#usedAfter = heap.used();
  }

  /** The mesh changed. */
  changed(): void {
    if (this.#looking) return;
    this.#looking = true;
    setTimeout(() => this.#look(), LOOK_AFTER_MS).unref();
  }

  #look(): void {
    this.#looking = false;
    const used = this.#heap.used();
    if (used < this.#usedAfter) this.#usedAfter = used;
    if (used - this.#usedAfter < Math.max(WORTH_BYTES, this.#usedAfter * WORTH_PART)) return;
    this.#heap.collect();
    this.#heap.release();
    this.#usedAfter = this.#heap.used();
  }
}
