// SPDX-License-Identifier: Apache-2.0
// Bytes that wait until an application socket takes them: a queue of blocks, in order, bounded by the stream's window and by
// the worker's budget. Empty, it holds no memory.

import type { Arena } from '#lib/linux/arena.ts';
import type { Block, BlockHolder, BlockPool } from './block-pool.ts';
import { BROKEN } from './socket.ts';

/** Where bytes go: a socket, or whatever takes them as one does. */
export interface ByteSink {
  /** The count taken, which may be short or 0, or BROKEN. */
  send(arena: Arena, offset: number, length: number): number;
}

export class Outbox implements BlockHolder {
  held = 0;
  place = 0;
  /** Bytes waiting. */
  bytes = 0;
  readonly #pool: BlockPool;
  readonly #onOverBudget: () => void;
  #head: Block | null = null;
  #tail: Block | null = null;

  constructor(pool: BlockPool, onOverBudget: () => void) {
    this.#pool = pool;
    this.#onOverBudget = onOverBudget;
  }

  /** Copies `length` bytes behind what waits already; false when the budget ended this queue. */
  append(arena: Arena, offset: number, length: number): boolean {
    return this.appendBytes(arena.bytes, offset, length);
  }

  /** The same from any memory. */
  appendBytes(bytes: Buffer, offset: number, length: number): boolean {
    let from = offset;
    const end = offset + length;
    while (from < end) {
      let tail = this.#tail;
      if (tail === null || tail.end === tail.offset + tail.size) {
        const block = this.#pool.take(this, end - from);
        if (block === null) return false;
        if (tail === null) this.#head = block;
        else tail.next = block;
        this.#tail = tail = block;
      }
      const n = Math.min(end - from, tail.offset + tail.size - tail.end);
      bytes.copy(tail.arena.bytes, tail.end, from, from + n);
      tail.end += n;
      from += n;
      this.bytes += n;
    }
    return true;
  }

  /** Sends what the sink takes; the bytes that left, or BROKEN. */
  drain(sink: ByteSink): number {
    let total = 0;
    for (let block = this.#head; block !== null; block = this.#head) {
      const n = sink.send(block.arena, block.start, block.end - block.start);
      if (n === BROKEN) return BROKEN;
      block.start += n;
      this.bytes -= n;
      total += n;
      if (!this.#release(block)) break;
    }
    return total;
  }

  /** Shows what waits, piece by piece, in order. */
  forEach(show: (bytes: Buffer, start: number, end: number) => void): void {
    for (let block = this.#head; block !== null; block = block.next) show(block.arena.bytes, block.start, block.end);
  }

  /** Copies up to `room` of the first bytes to `arena` and lets go of them; returns how many. */
  take(arena: Arena, offset: number, room: number): number {
    let total = 0;
    for (let block = this.#head; block !== null && total < room; block = this.#head) {
      const n = Math.min(room - total, block.end - block.start);
      block.arena.bytes.copy(arena.bytes, offset + total, block.start, block.start + n);
      block.start += n;
      total += n;
      this.#release(block);
    }
    this.bytes -= total;
    return total;
  }

  /** Gives every block back; what waited is lost. */
  clear(): void {
    for (let block = this.#head; block !== null; ) {
      const next: Block | null = block.next;
      this.#pool.give(this, block);
      block = next;
    }
    this.#head = this.#tail = null;
    this.bytes = 0;
  }

  /** Gives the first block back if it is empty. */
  #release(block: Block): boolean {
    if (block.start < block.end) return false;
    this.#head = block.next;
    if (this.#head === null) this.#tail = null;
    this.#pool.give(this, block);
    return true;
  }

  overBudget(): void {
    this.clear();
    this.#onOverBudget();
  }
}
