// SPDX-License-Identifier: Apache-2.0
// Memory that native code may read and write. An arena is mapped outside the JavaScript heap between two guard pages and
// never unmapped, so its pointer stays right whatever happens to the ArrayBuffer, and running over an end is a fault and not silence.
// Rule of trap 4: a call takes (arena, offset, length) and checks the sum; no bare pointer leaves lib/linux and lib/tls.
import { AmbitError } from '#lib/kit/error.ts';
import { abi } from './abi/current.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_NONE, PROT_READ, PROT_WRITE } from './constants.ts';
import { callError } from './errno.ts';
import { errnoCell, ffi, libc } from './ffi.ts';
import { endProcess } from './last-words.ts';

const MAP_FAILED = 0xffffffffffffffffn;

export interface ArenaOptions {
  /** Offsets that are a multiple of this have a precomputed pointer; a power of two, 64 unless told. */
  readonly grain?: number;
}

/** So many offsets have an address kept each. */
const FIRST = 64;

/** A memory block of fixed size and address, alive until the process ends. */
export class Arena {
  /** Length in bytes. */
  readonly size: number;
  /** The memory as bytes: for JavaScript's side only. */
  readonly bytes: Buffer;
  readonly view: DataView;
  /** The address of offset 0. For lib/linux and lib/tls. */
  readonly pointer: bigint;
  readonly #grainShift: number;
  readonly #grainMask: number;
  readonly #pointers: bigint[];
  /** Of the first offsets, one by one: behind the header of a frame that begins the block. */
  readonly #first: bigint[];

  constructor(pointer: bigint, size: number, options: ArenaOptions = {}) {
    const grain = options.grain ?? 64;
    this.size = size;
    this.pointer = pointer;
    const memory = ffi.toArrayBuffer(pointer, size, false);
    this.bytes = Buffer.from(memory);
    this.view = new DataView(memory);
    this.#grainShift = Math.log2(grain);
    this.#grainMask = grain - 1;
    this.#pointers = [];
    this.#first = Array.from({ length: FIRST }, (_, offset) => pointer + BigInt(offset));
    for (let offset = 0; offset <= size; offset += grain) this.#pointers.push(pointer + BigInt(offset));
  }

  /** Private zeroed memory. `size` in bytes; throws SYSCALL_ENOMEM. */
  static allocate(size: number, options?: ArenaOptions): Arena {
    const inner = reserve(size);
    const at = libc.mmap(inner, pages(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0n);
    if (at === MAP_FAILED) throw callError('mmap', errnoCell[0]!, `${size} bytes`);
    return new Arena(at, size, options);
  }

  /** Maps a memfd; `writable: false` makes a write to it end the process by SIGSEGV. */
  static map(fd: number, size: number, options: ArenaOptions & { readonly writable: boolean }): Arena {
    const inner = reserve(size);
    const protection = options.writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const at = libc.mmap(inner, pages(size), protection, MAP_SHARED | MAP_FIXED, fd, 0n);
    if (at === MAP_FAILED) throw callError('mmap', errnoCell[0]!, `descriptor ${fd}, ${size} bytes`);
    return new Arena(at, size, options);
  }

  /** The address of `offset`, unchecked. For lib/linux and lib/tls, after check(). Multiples of the grain and the first 64 make no garbage. */
  at(offset: number): bigint {
    if ((offset & this.#grainMask) === 0) return this.#pointers[offset >>> this.#grainShift]!;
    if (offset < FIRST) return this.#first[offset]!;
    return BigInt.asUintN(64, this.pointer + BigInt(offset));
  }

  /** Throws ARENA_RANGE unless [offset, offset + length) lies inside. */
  check(offset: number, length: number): void {
    if (offset >= 0 && length >= 0 && offset + length <= this.size) return;
    throw rangeError(this.size, offset, length);
  }

  /** Writes a C string at `offset` and returns its length without the NUL. Throws ARENA_RANGE. */
  writeCString(offset: number, text: string): number {
    const length = Buffer.byteLength(text);
    this.check(offset, length + 1);
    if (text.includes('\0')) throw new AmbitError('ARENA_NUL', 'a path or name holds a NUL byte');
    this.bytes.write(text, offset);
    this.bytes[offset + length] = 0;
    return length;
  }
}

function rangeError(size: number, offset: number, length: number): AmbitError {
  return new AmbitError('ARENA_RANGE', `offset ${offset} and length ${length} leave an arena of ${size} bytes`);
}

function pages(size: number): bigint {
  if (!Number.isSafeInteger(size) || size <= 0 || size > 0x7fffffff) throw rangeError(size, 0, size);
  return BigInt(Math.ceil(size / abi.pageSize) * abi.pageSize);
}

/** Address space for `size` bytes with an inaccessible page on either side; returns the address of the inner part. */
function reserve(size: number): bigint {
  const guard = BigInt(abi.pageSize);
  const at = libc.mmap(0n, pages(size) + 2n * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0n);
  if (at === MAP_FAILED) throw callError('mmap', errnoCell[0]!, `${size} bytes of address space`);
  return at + guard;
}

/** Ends the process: the kernel claims to have moved more bytes than it was offered, so memory can no longer be trusted. */
export function brokenPromise(call: string, offered: number, moved: number): never {
  endProcess(70, `${call} was offered ${offered} bytes and reported ${moved}: memory cannot be trusted, ending`);
}
