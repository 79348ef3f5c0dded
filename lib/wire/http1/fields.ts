// SPDX-License-Identifier: Apache-2.0
// The fields of a message as offsets into the bytes that they were read from; text is made when a rule asks for it.
import type { HeaderField } from '../h2/hpack/field.ts';
import { type FieldCache, isField } from '../http/field-cache.ts';
import { equalsLower, equalsOctets } from './octets.ts';

/** Kept of a field: the offsets of name, its end, value, its end; and its kind. */
const PER_FIELD = 5;
/** Fields there is room for at first: idle connections have tables, too. */
const FIRST_FIELDS = 12;

/** Fields in the order they came; valid as long as the bytes are. */
export class FieldTable {
  buffer: Buffer;
  fields = 0;
  /** `1 << kind` of every field's kind. */
  kinds = 0;
  /** Behind the empty line that ends them. */
  protected end = 0;
  protected offsets = new Int32Array(FIRST_FIELDS * PER_FIELD);
  /** What field `i` was as HTTP/2's when it was last asked for: from message to message it is mostly the same. */
  #known: (HeaderField | undefined)[] | null = null;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
  }

  /** Name of field `i`, lower case. */
  name(i: number): string {
    const at = i * PER_FIELD;
    return this.buffer.toString('latin1', this.offsets[at], this.offsets[at + 1]).toLowerCase();
  }

  value(i: number): string {
    const at = i * PER_FIELD;
    return this.buffer.toString('latin1', this.offsets[at + 2], this.offsets[at + 3]);
  }

  /** Field `i` as HTTP/2's. */
  fieldIn(cache: FieldCache, i: number): HeaderField {
    const at = i * PER_FIELD;
    const { buffer, offsets } = this;
    const [name, nameEnd, value, valueEnd] = [offsets[at]!, offsets[at + 1]!, offsets[at + 2]!, offsets[at + 3]!];
    this.#known ??= new Array<HeaderField | undefined>(FIRST_FIELDS).fill(undefined);
    const known = i < FIRST_FIELDS ? this.#known[i] : undefined;
    if (known !== undefined && isField(known, buffer, name, nameEnd, value, valueEnd)) return known;
    const field = cache.of(buffer, name, nameEnd, value, valueEnd);
    // Secrets have no slot.
    if (i < FIRST_FIELDS && field.slot >= 0) this.#known[i] = field;
    return field;
  }

  /** What field `i` means to HTTP itself; see `FieldKind`. */
  kind(i: number): number {
    return this.offsets[i * PER_FIELD + 4]!;
  }

  /** Where the line of field `i` begins. */
  lineStart(i: number): number {
    return this.offsets[i * PER_FIELD]!;
  }

  /** Where the line behind that of field `i` begins. */
  lineEnd(i: number): number {
    return i + 1 < this.fields ? this.offsets[(i + 1) * PER_FIELD]! : this.end - 2;
  }

  /** Whether field `i` has that lower-case name. */
  isNamed(i: number, name: string): boolean {
    const at = i * PER_FIELD;
    return equalsLower(this.buffer, this.offsets[at]!, this.offsets[at + 1]!, name);
  }

  /** Whether field `i` has exactly that value. */
  hasValue(i: number, value: string): boolean {
    const at = i * PER_FIELD;
    return equalsOctets(this.buffer, this.offsets[at + 2]!, this.offsets[at + 3]!, value);
  }

  /** Index of the first field of that lower-case name from `from` on; -1 if there is none. */
  find(name: string, from = 0): number {
    for (let i = from; i < this.fields; i++) if (this.isNamed(i, name)) return i;
    return -1;
  }

  /** The first value under that lower-case name. */
  get(name: string): string | undefined {
    const i = this.find(name);
    return i < 0 ? undefined : this.value(i);
  }

  /** Names that Connection lists, lower case: fields for this hop only. */
  connectionOptions(): string[] {
    const options: string[] = [];
    for (let i = this.find('connection'); i >= 0; i = this.find('connection', i + 1))
      options.push(...listOf(this.value(i)));
    return options;
  }

  /** Keeps where a field lies; returns its index. */
  protected add(name: number, nameEnd: number, value: number, valueEnd: number, kind: number): number {
    const index = this.fields++;
    const at = index * PER_FIELD;
    if (at === this.offsets.length) this.#grow();
    const { offsets } = this;
    offsets[at] = name;
    offsets[at + 1] = nameEnd;
    offsets[at + 2] = value;
    offsets[at + 3] = valueEnd;
    offsets[at + 4] = kind;
    this.kinds |= 1 << kind;
    return index;
  }

  /** The bytes have moved by so many octets towards the start. */
  protected moved(octets: number) {
    const { offsets } = this;
    for (let at = 0; at < this.fields * PER_FIELD; at += PER_FIELD)
      for (let k = at; k < at + 4; k++) offsets[k]! -= octets;
  }

  #grow() {
    const before = this.offsets;
    this.offsets = new Int32Array(before.length * 2);
    this.offsets.set(before);
  }
}

/** Elements of a comma-separated list, lower case. */
export function listOf(value: string): string[] {
  return value
    .split(',')
    .map((element) => element.trim().toLowerCase())
    .filter((element) => element !== '');
}
