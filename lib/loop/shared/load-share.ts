// SPDX-License-Identifier: Apache-2.0
// How many of something each data-plane process carries, in one region that all of them write: who should take the next one is seen
// without asking anybody. Counts that two processes change at a time are never lost; who is chosen may be a moment old.
import { createRegion, HEADER_BYTES, openRegion, type Region } from './region.ts';

/** What a process carries that can be given nothing: more than any other, whatever is added to it. */
const CLOSED = 2 ** 30;
const WORD_BYTES = 4;
const COUNT = 0;

export class LoadShare {
  readonly fd: number;
  readonly #counts: Int32Array;

  private constructor(region: Region, count?: number) {
    this.fd = region.fd;
    const { buffer, byteOffset } = region.arena.bytes;
    const words = new Int32Array(buffer, byteOffset + HEADER_BYTES, 1 + (count ?? 0));
    if (count !== undefined) words[COUNT] = count;
    this.#counts = new Int32Array(buffer, byteOffset + HEADER_BYTES + WORD_BYTES, words[COUNT]!);
  }

  /** For `count` processes, all closed. */
  static create(count: number): LoadShare {
    const share = new LoadShare(createRegion('share', (1 + count) * WORD_BYTES), count);
    share.#counts.fill(CLOSED);
    return share;
  }

  static open(fd: number): LoadShare {
    return new LoadShare(openRegion('share', fd, { writable: true }));
  }

  /** The process at `index` carries nothing and may be given something. */
  ready(index: number): void {
    Atomics.store(this.#counts, index, 0);
  }

  /** It is gone, or takes no more. */
  close(index: number): void {
    Atomics.store(this.#counts, index, CLOSED);
  }

  /** It carries `more`, or less. */
  add(index: number, more: number): void {
    Atomics.add(this.#counts, index, more);
  }

  carriedBy(index: number): number {
    return Atomics.load(this.#counts, index);
  }

  /** Who should take what has come to `index`: itself, unless somebody carries less by one, and by a quarter of what he carries. */
  placeFor(index: number): number {
    let least = index;
    for (let other = 0; other < this.#counts.length; other++) {
      if (this.carriedBy(other) < this.carriedBy(least)) least = other;
    }
    const carried = this.carriedBy(least);
    return this.carriedBy(index) - carried > carried / 4 ? least : index;
  }
}
