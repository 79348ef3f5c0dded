// SPDX-License-Identifier: Apache-2.0
// A first snapshot of the mesh leaves several times its size behind as garbage, which Node would keep for the next snapshot that never
// comes. So the main process collects a while after its heap grew. That stops it for 0.1 to 0.3 s at 100,000 workloads; connections are not
// its business, those run on in the data-plane processes.
import type { HeapTools } from '#lib/loop/housekeeping.ts';

/** From a change of the mesh to the look at the heap, in ms: what came with it has come by then. */
const LOOK_AFTER_MS = 3_000;
/** Growth since the last collection, of objects or of pages, that makes one worth its pause: these bytes, and this part of what was left then. */
const WORTH_BYTES = 8 * 1024 * 1024;
const WORTH_PART = 1 / 4;
/** So long after the last change the mesh is at rest, in ms, and garbage would stay until the next one: then less is worth a pause. */
const REST_AFTER_MS = 5_000;
const REST_WORTH_BYTES = 256 * 1024;
const REST_WORTH_PART = 1 / 64;

export class HeapKeeper {
  readonly #heap: HeapTools;
  // None was collected yet: all there is may be garbage.
  #usedAfter = 0;
  #takenAfter = 0;
  #looking = false;
  #rest: NodeJS.Timeout | undefined;

  constructor(heap: HeapTools) {
    this.#heap = heap;
  }

  /** The mesh changed. */
  changed(): void {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#rested(), REST_AFTER_MS).unref();
    if (this.#looking) return;
    this.#looking = true;
    setTimeout(() => this.#changing(), LOOK_AFTER_MS).unref();
  }

  #changing(): void {
    this.#looking = false;
    this.#look(WORTH_BYTES, WORTH_PART);
  }

  #rested(): void {
    this.#look(REST_WORTH_BYTES, REST_WORTH_PART);
  }

  #look(worthBytes: number, worthPart: number): void {
    const used = this.#heap.used();
    if (used < this.#usedAfter) this.#usedAfter = used;
    // V8's own collections free objects and keep the pages for more, which do not come at rest.
    const grown = Math.max(used - this.#usedAfter, this.#heap.taken() - this.#takenAfter);
    if (grown < Math.max(worthBytes, this.#usedAfter * worthPart)) return;
    this.#heap.collect();
    this.#heap.release();
    this.#usedAfter = this.#heap.used();
    this.#takenAfter = this.#heap.taken();
  }
}
