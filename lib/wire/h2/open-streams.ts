// SPDX-License-Identifier: Apache-2.0
// The open streams of a connection by identifier. Not a Map: a Map that is added to and deleted from is moved to new memory again
// and again, what it leaves behind still points at the streams of that time and at the memory that followed, and once some
// of that is old every young collection takes all of it for alive (a quarter of an HTTP/2 proxy's time).
import type { H2Stream } from './stream.ts';

const FIRST_SLOTS = 8;
/** A connection without streams keeps no more. */
const KEPT_SLOTS = 64;

export class OpenStreams {
  size = 0;
  /** Open addressing with linear probing, at most half full. */
  #slots: (H2Stream | undefined)[] = new Array(FIRST_SLOTS).fill(undefined);

  get(id: number): H2Stream | undefined {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let at = (id >>> 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at];
      if (stream === undefined || stream.id === id) return stream;
    }
  }

  add(stream: H2Stream): void {
    if (this.get(stream.id) !== undefined) return;
    if (this.size * 2 >= this.#slots.length) this.#resize(this.#slots.length * 2);
    this.#put(stream);
    this.size++;
  }

  delete(stream: H2Stream): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = (stream.id >>> 1) & mask;
    while (slots[at] !== stream) {
      if (slots[at] === undefined) return;
      at = (at + 1) & mask;
    }
    this.size--;
    // Those behind it move up, so that no search ends at the gap.
    for (let next = (at + 1) & mask; ; next = (next + 1) & mask) {
      const follower = slots[next];
      if (follower === undefined) break;
      const home = (follower.id >>> 1) & mask;
      if (((next - home) & mask) >= ((next - at) & mask)) {
        slots[at] = follower;
        at = next;
      }
    }
    slots[at] = undefined;
    if (this.size === 0 && slots.length > KEPT_SLOTS) this.#resize(FIRST_SLOTS);
  }

  /** All of them now; what becomes of them meanwhile changes nothing here. */
  values(): H2Stream[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  #put(stream: H2Stream): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = (stream.id >>> 1) & mask;
    while (slots[at] !== undefined) at = (at + 1) & mask;
    slots[at] = stream;
  }

  #resize(length: number): void {
    const before = this.#slots;
    this.#slots = new Array(length).fill(undefined);
    for (let i = 0; i < before.length; i++) {
      const stream = before[i];
      if (stream === undefined) continue;
      this.#put(stream);
      before[i] = undefined;
    }
  }
}
