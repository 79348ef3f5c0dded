// SPDX-License-Identifier: Apache-2.0
// Where a tunnel's HTTP/2 engine writes its own frames (HEADERS, WINDOW_UPDATE, PING, …) between two flushes. It keeps a few
// hundred bytes while a tunnel is in use and nothing while it sleeps; a peer that makes us answer and does not read is
// cut off at the limit.

import type { Arena } from '#lib/linux/arena.ts';
import type { OutputBuffer } from '#lib/wire/h2/output.ts';

const FIRST_BYTES = 1024;
const MAX_BYTES = 256 * 1024;
const NOTHING = Buffer.alloc(0);

export class ControlOutput implements OutputBuffer {
  buffer: Buffer = NOTHING;
  offset = 0;
  limit = 0;
  /** Bytes at the front that have been taken. */
  #taken = 0;
  readonly #dirty: () => void;

  constructor(dirty: () => void) {
    this.#dirty = dirty;
  }

  get pending(): number {
    return this.offset - this.#taken;
  }

  reserve(bytes: number): boolean {
    const wanted = this.offset + bytes;
    if (wanted <= this.limit) return true;
    if (wanted > MAX_BYTES) return false;
    const next = Buffer.allocUnsafeSlow(Math.min(MAX_BYTES, Math.max(FIRST_BYTES, wanted, this.limit * 2)));
    this.buffer.copy(next, 0, 0, this.offset);
    this.buffer = next;
    this.limit = next.length;
    return true;
  }

  markDirty(): void {
    this.#dirty();
  }

  /** Copies up to `room` pending bytes to `arena` and returns how many. */
  take(arena: Arena, offset: number, room: number): number {
    const n = Math.min(this.offset - this.#taken, room);
    if (n <= 0) return 0;
    this.buffer.copy(arena.bytes, offset, this.#taken, this.#taken + n);
    this.#taken += n;
    if (this.#taken === this.offset) this.#taken = this.offset = 0;
    return n;
  }

  /** Lets go of the memory when nothing is pending. */
  shrink(): void {
    if (this.offset !== 0) return;
    this.buffer = NOTHING;
    this.limit = 0;
  }
}
