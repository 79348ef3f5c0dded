// SPDX-License-Identifier: Apache-2.0
// The layout of the mesh store: keys and values as bytes in shared memory, one writer (the main process), readers that map it
// read-only. Nothing ever blocks: a record is written first and then published by one store of its place into the index.
//
//   header   version of the store, count of moves in the index, number of records, room of the index, slots in use
//   index    open addressing with linear probing, 2 words an entry: hash, place of the record in units of 16 bytes (0: empty)
//            Tables of 64, 128, 256 … slots, each from the slot of that number on; the header says which one is in use.
//   records  sequence (odd: free), version, hash, key length, value length, 0 0 0, key, value
//
// A reader notes the record's sequence, copies, and looks again: the same means that the copy is whole. Freed records rest for a
// while before their room is used again, so a change under a reader's hands is all but impossible and still found out.
// Deleting moves index entries backwards; it copies before it clears, so every key can be found at every moment, and a reader that found
// nothing looks again when the count of moves has changed meanwhile.
// The index grows with the records, into the next table: in one that is large from the start each key that ever was would have taken a page.
// Tables of before stay as they were, so a reader that is still in one finds what it sought, or a record that is free, or a move.
import { createRegion, HEADER_BYTES, openRegion, type Region } from './region.ts';

export const UNIT = 16;
export const RECORD_HEADER = 32;
/** Longest key in bytes. */
export const MAX_KEY_BYTES = 1024;

// Words of the region's header, after region.ts's own.
export const VERSION = 0;
export const MOVES = 1;
export const RECORDS = 2;
export const INDEX_SLOTS = 3;
export const SLOTS = 4;
const HEADER_WORDS = 5;
const FIRST_SLOTS = 64;
// Words of a record.
export const SEQUENCE = 0;
export const RECORD_VERSION = 1;
export const HASH = 2;
export const KEY_LENGTH = 3;
export const VALUE_LENGTH = 4;

/** How large a store is. It cannot grow; pages are taken when first written, so room to spare costs nothing. */
export interface StoreSize {
  readonly maxRecords: number;
  /** For keys, values and 32 bytes a record, with some waste. */
  readonly dataBytes: number;
}

/** The parts of a mapped store. */
export interface StoreParts {
  readonly fd: number;
  readonly header: Int32Array;
  readonly index: Int32Array;
  /** Slots of the largest table. */
  readonly maxSlots: number;
  /** The record area as bytes and as words; place 0 is never a record. */
  readonly bytes: Buffer;
  readonly words: Int32Array;
}

export function createStore(size: StoreSize): StoreParts {
  const slots = 2 ** Math.ceil(Math.log2(Math.max(size.maxRecords * 2, FIRST_SLOTS)));
  const data = Math.ceil(size.dataBytes / 4096) * 4096 + 4096;
  const region = createRegion('store', slots * 16 + data);
  const header = new Int32Array(region.arena.bytes.buffer, 32, HEADER_WORDS);
  header[INDEX_SLOTS] = slots;
  header[SLOTS] = FIRST_SLOTS;
  return parts(region);
}

export function openStore(fd: number): StoreParts {
  return parts(openRegion('store', fd, { writable: false }));
}

function parts({ fd, arena }: Region): StoreParts {
  const { buffer } = arena.bytes;
  const header = new Int32Array(buffer, 32, HEADER_WORDS);
  const slots = header[INDEX_SLOTS]!;
  const dataAt = HEADER_BYTES + slots * 16;
  const dataBytes = Math.floor((arena.size - dataAt) / UNIT) * UNIT;
  return {
    fd,
    header,
    index: new Int32Array(buffer, HEADER_BYTES, slots * 4),
    maxSlots: slots,
    bytes: arena.bytes.subarray(dataAt, dataAt + dataBytes),
    words: new Int32Array(buffer, dataAt, dataBytes / 4),
  };
}

/** FNV-1a of the first `length` bytes, mixed, as a signed integer that is never 0. */
export function hashKey(key: Uint8Array, length: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let at = 0; at < length; at++) hash = Math.imul(hash ^ key[at]!, 0x01000193);
  hash ^= hash >>> 15;
  return hash === 0 ? 1 : hash;
}
