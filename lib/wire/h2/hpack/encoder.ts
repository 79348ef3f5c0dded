// SPDX-License-Identifier: Apache-2.0
// HPACK encoding (RFC 7541). One encoder per connection and direction. Fields that repeat go into the dynamic table,
// fields that are new each time do not, secrets never do (section 7.1.3).
import { AmbitError } from '#lib/kit/error.ts';
import { DEFAULT_TABLE_SIZE } from './decoder.ts';
import { DynamicTable } from './dynamic-table.ts';
import { HeaderField } from './field.ts';
import { huffmanEncode, huffmanLength } from './huffman.ts';
import { STATIC_LENGTH, STATIC_NAMES } from './static-table.ts';

// Values of these differ from request to request, so a table entry would only push out a useful one.
const UNIQUE = new Set([
  ':path',
  'age',
  'content-length',
  'content-range',
  'date',
  'etag',
  'forwarded',
  'if-modified-since',
  'if-none-match',
  'last-modified',
  'location',
  'traceparent',
  'tracestate',
  'x-request-id',
]);
const SECRET = new Set(['authorization', 'cookie', 'proxy-authorization', 'set-cookie']);

/** Slots of shared fields. */
export const SHARED_FIELDS = 256;

/** Whether encodings of the field refer to nothing but the static table. */
function isFixed({ name, value }: HeaderField): boolean {
  const fixed = STATIC_NAMES.get(name);
  return fixed !== undefined && (fixed.values.has(value) || UNIQUE.has(name));
}

/** Whether the field is kept out of tables that others may look into. */
export function isSecret(name: string): boolean {
  return SECRET.has(name);
}

/** Ids of dynamic entries that share a name. */
interface DynamicName {
  /** Id of the newest of them. */
  latest: number;
  readonly values: Map<string, number>;
}

/** Encodes header blocks: `begin`, `field` for each field, `finish`. */
export class HpackEncoder {
  readonly #table: DynamicTable;
  readonly #names = new Map<string, DynamicName>();
  /** Most octets we are willing to keep, whatever the peer allows. */
  readonly #ceiling: number;
  /** Lowest capacity since the last block if it must be told to the peer, else -1. */
  #lowest = -1;
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Ids of shared fields that were put into the table, by slot. */
  #ids: Int32Array | null = null;

  constructor(ceiling: number = DEFAULT_TABLE_SIZE) {
    this.#ceiling = ceiling;
    this.#table = new DynamicTable(Math.min(ceiling, DEFAULT_TABLE_SIZE));
    if (ceiling < DEFAULT_TABLE_SIZE) this.#lowest = ceiling;
  }

  /** Octets in the dynamic table now. */
  get tableSize(): number {
    return this.#table.size;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; takes effect with the next block. */
  setPeerLimit(limit: number) {
    const capacity = Math.min(limit, this.#ceiling);
    if (capacity === this.#table.capacity) return;
    this.#lowest = this.#lowest < 0 ? capacity : Math.min(this.#lowest, capacity);
    while (this.#table.size > capacity) this.#evict();
    this.#table.capacity = capacity;
  }

  /** Most octets that this field can take in a block. */
  static bound(name: string, value: string): number {
    return name.length + value.length + 12;
  }

  /** Most octets that `begin` can take. */
  static readonly BEGIN_BOUND = 12;

  /** Starts a block at `offset` of `buffer`. */
  begin(buffer: Buffer, offset: number) {
    this.#buffer = buffer;
    this.#at = offset;
    if (this.#lowest < 0) return;
    if (this.#lowest < this.#table.capacity) this.#integer(0x20, 5, this.#lowest);
    this.#integer(0x20, 5, this.#table.capacity);
    this.#lowest = -1;
  }

  /** Ends the block; returns the offset behind it. */
  finish(): number {
    return this.#at;
  }

  /** Appends a field; of one that many messages share it is known where it stands, or what it looks like. */
  append(field: HeaderField) {
    const { encoded, slot } = field;
    if (slot < 0) return this.field(field.name, field.value, field.sensitive);
    if (encoded !== null) {
      for (let i = 0; i < encoded.length; i++) this.#buffer[this.#at + i] = encoded[i]!;
      this.#at += encoded.length;
      return;
    }
    this.#ids ??= new Int32Array(SHARED_FIELDS).fill(-1);
    const id = this.#ids[slot]!;
    if (id >= 0 && this.#table.entry(id) === field) {
      this.#integer(0x80, 7, STATIC_LENGTH + this.#table.inserted - id);
      return;
    }
    const from = this.#at;
    const { inserted } = this.#table;
    this.field(field.name, field.value, false, field);
    if (this.#table.inserted > inserted) this.#ids[slot] = inserted;
    else if (isFixed(field)) field.encoded = Uint8Array.prototype.slice.call(this.#buffer, from, this.#at);
  }

  /** Appends one field; `entry` is the object to keep if it goes into the table. */
  field(name: string, value: string, sensitive: boolean, entry?: HeaderField) {
    const fixed = STATIC_NAMES.get(name);
    const exact = fixed?.values.get(value);
    if (exact !== undefined && !sensitive) return this.#integer(0x80, 7, exact);
    const known = this.#names.get(name);
    if (sensitive || SECRET.has(name)) return this.#literal(0x10, 4, fixed?.index ?? this.#indexOf(known), name, value);
    const id = known?.values.get(value);
    if (id !== undefined) return this.#integer(0x80, 7, STATIC_LENGTH + this.#table.inserted - id);
    const index = fixed?.index ?? this.#indexOf(known);
    const size = name.length + value.length + 32;
    if (UNIQUE.has(name) || size * 2 > this.#table.capacity) return this.#literal(0, 4, index, name, value);
    this.#literal(0x40, 6, index, name, value);
    this.#insert(entry ?? new HeaderField(name, value, false));
  }

  #indexOf(known: DynamicName | undefined): number {
    return known === undefined ? 0 : STATIC_LENGTH + this.#table.inserted - known.latest;
  }

  #insert(field: HeaderField) {
    while (this.#table.size + field.size > this.#table.capacity) this.#evict();
    const id = this.#table.inserted;
    this.#table.push(field);
    const known = this.#names.get(field.name);
    if (known === undefined) this.#names.set(field.name, { latest: id, values: new Map([[field.value, id]]) });
    else {
      known.latest = id;
      known.values.set(field.value, id);
    }
  }

  #evict() {
    const field = this.#table.oldest()!;
    const id = this.#table.inserted - this.#table.length;
    const known = this.#names.get(field.name)!;
    if (known.values.get(field.value) === id) known.values.delete(field.value);
    if (known.latest === id) this.#names.delete(field.name);
    this.#table.evict();
  }

  #literal(mark: number, prefix: number, index: number, name: string, value: string) {
    this.#integer(mark, prefix, index);
    if (index === 0) this.#string(name);
    this.#string(value);
  }

  #string(text: string) {
    const coded = huffmanLength(text);
    if (coded < 0) throw new AmbitError('H2_FIELD_NOT_OCTETS', `header text ${JSON.stringify(text)} is not octets`);
    if (coded < text.length) {
      this.#integer(0x80, 7, coded);
      this.#at = huffmanEncode(text, this.#buffer, this.#at);
    } else {
      this.#integer(0, 7, text.length);
      this.#at += this.#buffer.write(text, this.#at, text.length, 'latin1');
    }
  }

  #integer(mark: number, prefix: number, value: number) {
    const mask = (1 << prefix) - 1;
    if (value < mask) {
      this.#buffer[this.#at++] = mark | value;
      return;
    }
    this.#buffer[this.#at++] = mark | mask;
    let rest = value - mask;
    for (; rest >= 0x80; rest >>>= 7) this.#buffer[this.#at++] = (rest & 0x7f) | 0x80;
    this.#buffer[this.#at++] = rest;
  }
}
