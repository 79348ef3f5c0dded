// SPDX-License-Identifier: Apache-2.0
// Log lines from one data-plane process to the main process, through shared memory. One producer, one consumer.
//
//   record:  length (4 bytes, stored last)   sequence (4)   kind (4)   payload, padded to 16
//
// Rules of trap 25: the length is stored last with Atomics.store, so a record is whole or absent; the sequence must be the expected one; the
// consumer zeroes what it took before it gives the room back, so old bytes are never taken for a record. A full ring drops access
// lines and counts them, and keeps an eighth of its room for deny lines.
import { createRegion, HEADER_BYTES, openRegion, type Region } from './region.ts';

const RECORD_HEADER = 16;
const PAD = 0xff;
/** Longest line in bytes; a longer one is cut. */
export const MAX_LINE_BYTES = 8192;
// Words of the region's header.
const HEAD = 0;
const TAIL = 1;
const DROPPED_ACCESS = 2;
const DROPPED_DENY = 3;
const DROPPED_EXPORTS = 4;
const CONTROL_WORDS = 5;

/**
 * Kinds of line: access lines, and what is exported to somebody, may be dropped when the ring is full; deny and audit lines have
 * room of their own.
 */
export const LINE_KINDS = Object.freeze({ access: 1, deny: 2, message: 3, export: 4 });
export type LineKind = (typeof LINE_KINDS)[keyof typeof LINE_KINDS];

const DROPS: Readonly<Record<LineKind, number>> = {
  [LINE_KINDS.access]: DROPPED_ACCESS,
  [LINE_KINDS.deny]: DROPPED_DENY,
  [LINE_KINDS.message]: DROPPED_DENY,
  [LINE_KINDS.export]: DROPPED_EXPORTS,
};

class Ring {
  readonly fd: number;
  protected readonly size: number;
  protected readonly control: Int32Array;
  protected readonly words: Int32Array;
  protected readonly bytes: Buffer;

  constructor(region: Region) {
    this.fd = region.fd;
    const { buffer, byteOffset } = region.arena.bytes;
    this.size = 2 ** Math.floor(Math.log2(region.arena.size - HEADER_BYTES));
    this.control = new Int32Array(buffer, byteOffset + 32, CONTROL_WORDS);
    this.words = new Int32Array(buffer, byteOffset + HEADER_BYTES, this.size / 4);
    this.bytes = region.arena.bytes.subarray(HEADER_BYTES, HEADER_BYTES + this.size);
  }

  /** Access lines dropped so far. */
  get droppedAccess(): number {
    return Atomics.load(this.control, DROPPED_ACCESS) >>> 0;
  }

  /** What was to be exported and was dropped so far. */
  get droppedExports(): number {
    return Atomics.load(this.control, DROPPED_EXPORTS) >>> 0;
  }

  /** Deny lines dropped so far. */
  get droppedDeny(): number {
    return Atomics.load(this.control, DROPPED_DENY) >>> 0;
  }
}

/** The data-plane process's end. */
export class LogProducer extends Ring {
  #sequence = 0;

  static open(fd: number): LogProducer {
    return new LogProducer(openRegion('log', fd, { writable: true }));
  }

  /** Writes a line of UTF-8; false when it was dropped. Hot. */
  write(kind: LineKind, line: string): boolean {
    const room = Math.min(line.length * 3, MAX_LINE_BYTES);
    const at = this.#reserve(kind, room);
    if (at < 0) return false;
    const length = this.bytes.write(line, at + RECORD_HEADER, room);
    this.#publish(kind, at, length);
    return true;
  }

  /** Writes a line that is bytes already; false when it was dropped. Hot. */
  writeBytes(kind: LineKind, line: Uint8Array, length = line.length): boolean {
    const room = Math.min(length, MAX_LINE_BYTES);
    const at = this.#reserve(kind, room);
    if (at < 0) return false;
    this.bytes.set(room === line.length ? line : line.subarray(0, room), at + RECORD_HEADER);
    this.#publish(kind, at, room);
    return true;
  }

  /** Offset of a record with room for `length` payload bytes, or -1 (counted) when the ring is too full for this kind. */
  #reserve(kind: LineKind, length: number): number {
    const need = align(RECORD_HEADER + length);
    const head = this.control[HEAD]!;
    const used = (head - Atomics.load(this.control, TAIL)) >>> 0;
    const droppable = kind === LINE_KINDS.access || kind === LINE_KINDS.export;
    const keep = droppable ? this.size >>> 3 : 0;
    const at = (head >>> 0) & (this.size - 1);
    const pad = at + need > this.size ? this.size - at : 0;
    if (used + pad + need + keep > this.size) {
      Atomics.add(this.control, DROPS[kind], 1);
      return -1;
    }
    if (pad === 0) return at;
    this.#store(PAD, at, pad - RECORD_HEADER);
    Atomics.store(this.control, HEAD, (head + pad) | 0);
    return 0;
  }

  #publish(kind: LineKind, at: number, length: number): void {
    this.#store(kind, at, length);
    Atomics.store(this.control, HEAD, (this.control[HEAD]! + align(RECORD_HEADER + length)) | 0);
  }

  /** Makes a record visible: everything else first, its length (plus one, so an empty line counts) last. */
  #store(kind: number, at: number, length: number): void {
    const word = at >>> 2;
    this.words[word + 1] = this.#sequence;
    this.words[word + 2] = kind;
    this.#sequence = (this.#sequence + 1) | 0;
    Atomics.store(this.words, word, length + 1);
  }
}

/** The main process's end. */
export class LogConsumer extends Ring {
  /** Times the ring was found broken and was skipped to its head. */
  broken = 0;
  #sequence = 0;
  #lost = false;

  /** `bytes`: room for lines, rounded down to a power of two. */
  static create(bytes = 1 << 20): LogConsumer {
    return new LogConsumer(createRegion('log', bytes));
  }

  /** Hands at most `limit` lines to `take`, each as UTF-8 that is valid until `take` returns; returns how many. */
  drain(take: (kind: LineKind, line: Buffer) => void, limit = 10_000): number {
    let count = 0;
    while (count < limit) {
      const tail = this.control[TAIL]!;
      if (tail === Atomics.load(this.control, HEAD)) break;
      const at = (tail >>> 0) & (this.size - 1);
      const word = at >>> 2;
      const length = Atomics.load(this.words, word) - 1;
      const room = align(RECORD_HEADER + length);
      if (length < 0 || at + room > this.size || (!this.#lost && this.words[word + 1] !== this.#sequence)) {
        this.#skip();
        break;
      }
      this.#lost = false;
      this.#sequence = (this.words[word + 1]! + 1) | 0;
      const kind = this.words[word + 2]!;
      if (kind !== PAD) {
        const from = at + RECORD_HEADER;
        take(kind as LineKind, this.bytes.subarray(from, from + length));
        count++;
      }
      this.bytes.fill(0, at, at + room);
      Atomics.store(this.control, TAIL, (tail + room) | 0);
    }
    return count;
  }

  /** The ring does not make sense: only a stray write can do that. Nothing of it can be trusted, so it is counted and emptied. */
  #skip(): void {
    this.broken++;
    this.#lost = true;
    Atomics.store(this.control, TAIL, Atomics.load(this.control, HEAD));
  }
}

function align(length: number): number {
  return (length + 15) & ~15;
}
