// SPDX-License-Identifier: Apache-2.0
// A list of arena ranges for writev(2): gathers without copying. One list is reused for every call of a worker.
import { abi } from './abi/current.ts';
import { Arena, brokenPromise } from './arena.ts';
import { errnoCell, libc } from './ffi.ts';

/** Up to `capacity` ranges (at most 1024, IOV_MAX), sent with one call. */
export class IoVector {
  readonly capacity: number;
  /** Ranges held. */
  count = 0;
  /** Bytes held. */
  length = 0;
  readonly #arena: Arena;
  readonly #words: BigUint64Array;

  constructor(capacity = 64) {
    this.capacity = Math.min(capacity, 1024);
    this.#arena = Arena.allocate(this.capacity * abi.iovec.size);
    this.#words = new BigUint64Array(this.#arena.bytes.buffer);
  }

  clear(): void {
    this.count = 0;
    this.length = 0;
  }

  /** Appends a range; false when the list is full. Throws ARENA_RANGE. */
  push(arena: Arena, offset: number, length: number): boolean {
    if (this.count === this.capacity) return false;
    arena.check(offset, length);
    const at = this.count * 2;
    this.#words[at] = arena.at(offset);
    this.#words[at + 1] = BigInt(length);
    this.count++;
    this.length += length;
    return true;
  }

  /** writev(2) of everything held. Returns the byte count, which may be short, or a negative errno. Sockets: SIGPIPE is ignored by Node. */
  write(fd: number): number {
    const n = libc.writev(fd, this.#arena.pointer, this.count);
    if (n < 0) return -errnoCell[0]!;
    if (n > this.length) brokenPromise('writev', this.length, n);
    return n;
  }

  /** readv(2) into everything held. Returns the byte count, 0 at the end, or a negative errno. */
  read(fd: number): number {
    const n = libc.readv(fd, this.#arena.pointer, this.count);
    if (n < 0) return -errnoCell[0]!;
    if (n > this.length) brokenPromise('readv', this.length, n);
    return n;
  }
}
