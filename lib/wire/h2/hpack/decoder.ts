// SPDX-License-Identifier: Apache-2.0
// HPACK decoding (RFC 7541). One decoder per connection and direction: its dynamic table mirrors the peer's.
// Whatever breaks the compression state is fatal for the connection, so errors are a reason, not an exception.
import { DynamicTable } from './dynamic-table.ts';
import { HeaderField } from './field.ts';
import { decodedBound, huffmanDecode } from './huffman.ts';
import { STATIC_LENGTH, STATIC_TABLE } from './static-table.ts';

/** Receives the fields of a block in order. */
export interface FieldSink {
  onField(field: HeaderField): void;
  /** True once there is so much that not even the table's sake is worth going on. */
  readonly hopeless?: boolean;
}

/** Default of SETTINGS_HEADER_TABLE_SIZE, octets (RFC 9113 section 6.5.2). */
export const DEFAULT_TABLE_SIZE = 4096;

// Largest integer accepted (RFC 7541 section 5.1 asks for a limit): no length or index of a legal block comes near.
const MAX_INTEGER = 1 << 24;

// Decoding is synchronous and never re-entered, so all decoders of a thread share one scratch buffer.
let scratch = Buffer.alloc(4096);

/** Decodes header blocks; the dynamic table lives as long as the decoder. */
export class HpackDecoder {
  readonly #table: DynamicTable;
  /** What we announced as SETTINGS_HEADER_TABLE_SIZE and the peer acknowledged. */
  #limit: number;
  /** The limit was lowered below the table's capacity: the next block must begin with a size update. */
  #mustShrink = false;
  #buffer: Buffer = scratch;
  #at = 0;
  #end = 0;
  #error = '';

  constructor(limit: number = DEFAULT_TABLE_SIZE) {
    this.#limit = limit;
    this.#table = new DynamicTable(Math.min(limit, DEFAULT_TABLE_SIZE));
  }

  /** Octets in the dynamic table now. */
  get tableSize(): number {
    return this.#table.size;
  }

  /** Sets the table limit, octets, from the moment the peer acknowledged it. */
  setLimit(limit: number): void {
    this.#limit = limit;
    if (limit < this.#table.capacity) this.#mustShrink = true;
  }

  /** Decodes one complete block; returns an empty string, or what is wrong with it (COMPRESSION_ERROR). */
  decode(buffer: Buffer, start: number, end: number, sink: FieldSink): string {
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
    this.#error = '';
    let fields = 0;
    while (this.#at < end && this.#error === '') {
      if (sink.hopeless === true) return 'the header list is many times too large';
      const octet = buffer[this.#at]!;
      if ((octet & 0xe0) === 0x20) {
        if (fields > 0) this.#error = 'table size update after a field';
        else this.#resize(this.#integer(5));
        continue;
      }
      if (this.#mustShrink) return 'no table size update after the limit was lowered';
      fields++;
      if (octet >= 0x80) {
        const field = this.#entry(this.#integer(7));
        if (field !== undefined) sink.onField(field);
      } else if (octet >= 0x40) {
        const field = this.#literal(6, false);
        if (field !== undefined) {
          this.#table.insert(field);
          sink.onField(field);
        }
      } else {
        const field = this.#literal(4, (octet & 0x10) !== 0);
        if (field !== undefined) sink.onField(field);
      }
    }
    this.#buffer = scratch;
    return this.#error;
  }

  #resize(capacity: number): void {
    if (this.#error !== '') return;
    if (capacity > this.#limit) this.#error = `table size update to ${capacity} above the limit ${this.#limit}`;
    else {
      this.#table.resize(capacity);
      this.#mustShrink = false;
    }
  }

  #entry(index: number): HeaderField | undefined {
    if (this.#error !== '') return undefined;
    const field =
      index > STATIC_LENGTH
        ? this.#table.at(index - STATIC_LENGTH - 1)
        : index > 0
          ? STATIC_TABLE[index - 1]
          : undefined;
    if (field === undefined) this.#error = `index ${index} is in no table`;
    return field;
  }

  #literal(prefix: number, sensitive: boolean): HeaderField | undefined {
    const index = this.#integer(prefix);
    const name = this.#error !== '' ? '' : index === 0 ? this.#string() : (this.#entry(index)?.name ?? '');
    const value = this.#error === '' ? this.#string() : '';
    return this.#error === '' ? new HeaderField(name, value, sensitive) : undefined;
  }

  #string(): string {
    if (this.#at >= this.#end) {
      this.#error = 'block ends where a string should begin';
      return '';
    }
    const coded = this.#buffer[this.#at]! >= 0x80;
    const length = this.#integer(7);
    if (this.#error !== '') return '';
    const start = this.#at;
    const end = start + length;
    if (end > this.#end) {
      this.#error = 'string runs over the end of the block';
      return '';
    }
    this.#at = end;
    if (!coded) return this.#buffer.toString('latin1', start, end);
    const bound = decodedBound(length);
    if (scratch.length < bound) scratch = Buffer.alloc(bound * 2);
    const size = huffmanDecode(this.#buffer, start, end, scratch);
    if (size < 0) {
      this.#error = 'bad Huffman code';
      return '';
    }
    return scratch.toString('latin1', 0, size);
  }

  /** An integer with an n-bit prefix at the cursor (RFC 7541 section 5.1). */
  #integer(prefix: number): number {
    const mask = (1 << prefix) - 1;
    let value = this.#buffer[this.#at++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= this.#end) {
        this.#error = 'integer runs over the end of the block';
        return 0;
      }
      const octet = this.#buffer[this.#at++]!;
      if (shift > 21) {
        this.#error = 'integer is too long';
        return 0;
      }
      value += (octet & 0x7f) << shift;
      if (value > MAX_INTEGER) {
        this.#error = 'integer is too large';
        return 0;
      }
      if (octet < 0x80) return value;
    }
  }
}
