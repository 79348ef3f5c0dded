// SPDX-License-Identifier: Apache-2.0
// Memory for bytes whose reader is not ready, in blocks of a worker's own arenas, under one budget.
//
// A tunnel must be drained for the sake of its other streams, so bytes for a stopped reader have to wait somewhere. They wait
// here. Blocks are carved from arenas that live as long as the process and go back on a free list. When the budget is used up,
// the queue that holds most is told to give up (trap 13): its stream is reset with a cause, everybody else goes on.

import { Arena } from '#lib/linux/arena.ts';

/** Bytes of a small block: enough for a message or two, so that many slightly slow readers stay cheap. */
export const SMALL_BLOCK = 8 * 1024;
/** Bytes of a large block: enough that a bulk stream needs few of them. */
export const LARGE_BLOCK = 64 * 1024;
/** Arenas are made in slabs of this many bytes. */
const SLAB = 1024 * 1024;

/** A piece of an arena with bytes from `start` to `end`, both absolute offsets of the arena. */
export class Block {
  readonly arena: Arena;
  readonly offset: number;
  readonly size: number;
  start: number;
  end: number;
  next: Block | null = null;

  constructor(arena: Arena, offset: number, size: number) {
    this.arena = arena;
    this.offset = offset;
    this.size = size;
    this.start = offset;
    this.end = offset;
  }
}

/** Whoever holds blocks and can be told to let go of them. */
export interface BlockHolder {
  /** Bytes of blocks held, to find the worst. */
  held: number;
  /** Owned by the pool: its place among the holders. Starts 0. */
  place: number;
  /** The budget is used up and this holder has most of it: give every block back, now. */
  overBudget(): void;
}

export class BlockPool {
  /** Bytes of blocks that may be out at once. */
  readonly budget: number;
  /** Bytes of blocks out now. */
  used = 0;
  /** Holders told to let go, ever. */
  evicted = 0;
  /** Each knows its place. A list, since a Set that changes all the time makes work for the collector. */
  readonly #holders: BlockHolder[] = [];
  #small: Block | null = null;
  #large: Block | null = null;

  constructor(budget: number) {
    this.budget = Math.max(budget, LARGE_BLOCK);
  }

  /**
   * A block for `holder`, small if `bytes` fit one and it is its first. When the budget is used up the worst holder is told
   * to let go first; null when that was `holder` itself.
   */
  take(holder: BlockHolder, bytes: number): Block | null {
    const small = holder.held === 0 && bytes <= SMALL_BLOCK;
    const size = small ? SMALL_BLOCK : LARGE_BLOCK;
    while (this.used + size > this.budget) {
      const worst = this.#worst(holder);
      const before = this.used;
      this.evicted++;
      worst.overBudget();
      if (worst === holder || this.used >= before) return null;
    }
    const block = small ? this.#takeSmall() : this.#takeLarge();
    block.next = null;
    block.start = block.end = block.offset;
    this.used += size;
    if (holder.held === 0) holder.place = this.#holders.push(holder) - 1;
    holder.held += size;
    return block;
  }

  give(holder: BlockHolder, block: Block): void {
    this.used -= block.size;
    holder.held -= block.size;
    if (holder.held === 0) this.#leave(holder.place);
    if (block.size === SMALL_BLOCK) {
      block.next = this.#small;
      this.#small = block;
    } else {
      block.next = this.#large;
      this.#large = block;
    }
  }

  /** The last holder takes that place. */
  #leave(place: number): void {
    const last = this.#holders.pop()!;
    if (place === this.#holders.length) return;
    this.#holders[place] = last;
    last.place = place;
  }

  #worst(asking: BlockHolder): BlockHolder {
    let worst = asking;
    for (const holder of this.#holders) if (holder.held > worst.held) worst = holder;
    return worst;
  }

  #takeSmall(): Block {
    if (this.#small === null) {
      // A large block is cut up; its pieces stay small for good.
      const large = this.#takeLarge();
      for (let at = 0; at < LARGE_BLOCK; at += SMALL_BLOCK) {
        const block = new Block(large.arena, large.offset + at, SMALL_BLOCK);
        block.next = this.#small;
        this.#small = block;
      }
    }
    const block = this.#small as unknown as Block;
    this.#small = block.next;
    return block;
  }

  #takeLarge(): Block {
    if (this.#large === null) {
      const arena = Arena.allocate(SLAB);
      for (let at = 0; at < SLAB; at += LARGE_BLOCK) {
        const block = new Block(arena, at, LARGE_BLOCK);
        block.next = this.#large;
        this.#large = block;
      }
    }
    const block = this.#large as unknown as Block;
    this.#large = block.next;
    return block;
  }
}
