// SPDX-License-Identifier: Apache-2.0
// One arena in which what goes to one link is gathered, so that a head and the content behind it leave in one system call. It
// belongs to one link at a time: whoever writes next has the one before sent first, and the turn's end sends the last. Nothing
// stays in it between turns (trap 1).
import { Arena } from '#lib/linux/arena.ts';
import type { Flushable, Loop } from '#lib/loop/loop.ts';
import type { Link } from './link.ts';

/** More than the largest head and what a proxy adds to it. */
export const CORK_BYTES = 256 * 1024;
/** Content above this size is not copied behind a head but sent on its own. */
const COPY_BYTES = 16 * 1024;

export class Cork implements Flushable {
  flushQueued = false;
  readonly arena: Arena = Arena.allocate(CORK_BYTES);
  readonly bytes: Buffer = this.arena.bytes;
  /** Where the next byte goes. */
  at = 0;
  readonly #loop: Loop;
  #link: Link | null = null;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  /** Makes it `link`'s, with room for at least `room` bytes at `at`. */
  open(link: Link, room: number): void {
    if (this.#link !== link) {
      this.flush();
      this.#link = link;
      this.#loop.markDirty(this);
    } else if (CORK_BYTES - this.at < room) {
      this.flush();
      this.#link = link;
    }
  }

  /** Writes bytes to `link`, behind what it has here. `arena` is where `bytes` lie, null if they lie in none. */
  write(link: Link, bytes: Buffer, start: number, end: number): void {
    let from = start;
    while (from < end) {
      const n = Math.min(end - from, CORK_BYTES);
      this.open(link, n);
      bytes.copy(this.bytes, this.at, from, from + n);
      this.at += n;
      from += n;
    }
  }

  /** The same for bytes of an arena: many of them are sent where they lie. */
  pass(link: Link, arena: Arena, start: number, end: number): void {
    if (end - start <= COPY_BYTES) this.write(link, arena.bytes, start, end);
    else {
      if (this.#link === link) this.flush();
      link.transmit(arena, start, end - start);
    }
  }

  /** Sends what is there. */
  flush(): void {
    const link = this.#link;
    const length = this.at;
    this.#link = null;
    this.at = 0;
    if (link !== null && length > 0) link.transmit(this.arena, 0, length);
  }

  /** Sends what is there if it is `link`'s: before it ends. */
  flushOf(link: Link): void {
    if (this.#link === link) this.flush();
  }
}
