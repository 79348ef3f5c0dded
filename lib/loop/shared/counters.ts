// SPDX-License-Identifier: Apache-2.0
// Counters of one data-plane process that the main process reads. Each is a double with one writer, so adding is a load and a
// store, and a reader sees an old or a new value and never half of one (aligned 8 bytes on x86-64 and arm64). What a slot means is said once, by message.
import { createRegion, HEADER_BYTES, openRegion, type Region } from './region.ts';

export class Counters {
  readonly fd: number;
  /** Slots there are. */
  readonly capacity: number;
  readonly #values: Float64Array;
  #allocated = 0;
  /** First slots of runs that were released, by their length. */
  readonly #released = new Map<number, number[]>();

  private constructor(region: Region) {
    this.fd = region.fd;
    const { buffer, byteOffset } = region.arena.bytes;
    this.capacity = Math.floor((region.arena.size - HEADER_BYTES) / 8);
    this.#values = new Float64Array(buffer, byteOffset + HEADER_BYTES, this.capacity);
  }

  static create(capacity: number): Counters {
    return new Counters(createRegion('counters', capacity * 8));
  }

  static open(fd: number, options: { readonly writable: boolean }): Counters {
    return new Counters(openRegion('counters', fd, options));
  }

  /** The writer takes a new slot, starting at 0; -1 when all are taken (count into a shared overflow slot then). */
  allocate(): number {
    return this.allocateRun(1);
  }

  /** The same for `count` slots that follow each other: the first of them, or -1. */
  allocateRun(count: number): number {
    const again = this.#released.get(count)?.pop();
    if (again !== undefined) return again;
    if (this.#allocated + count > this.capacity) return -1;
    const first = this.#allocated;
    this.#allocated += count;
    return first;
  }

  /** The writer gives back what it allocated as one, once no reader looks at it any more; whoever takes it next starts at 0. */
  release(first: number, count: number): void {
    this.#values.fill(0, first, first + count);
    const runs = this.#released.get(count);
    if (runs === undefined) this.#released.set(count, [first]);
    else runs.push(first);
  }

  /** Adds to a slot. Hot. */
  add(slot: number, amount: number): void {
    this.#values[slot]! += amount;
  }

  /** Sets a slot, for gauges. Hot. */
  set(slot: number, value: number): void {
    this.#values[slot] = value;
  }

  get(slot: number): number {
    return this.#values[slot] ?? 0;
  }
}
