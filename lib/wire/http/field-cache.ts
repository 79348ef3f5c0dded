// SPDX-License-Identifier: Apache-2.0
// Fields of HTTP/1 that come again and again, as HTTP/2's: an answer differs from the last one in a date and a length, so most of
// its fields need no new text, and encoders know them again (HpackEncoder.append). One for all connections of a worker;
// secrets are not kept.
import { isSecret, SHARED_FIELDS } from '../h2/hpack/encoder.ts';
import { HeaderField } from '../h2/hpack/field.ts';
import { equalsLower, equalsOctets } from '../http1/octets.ts';

/** Longer values are hardly the same twice. */
const MAX_VALUE = 128;
/** Octets of a value that its place depends on, at its end, where values differ. */
const HASHED = 16;

export class FieldCache {
  readonly #fields: (HeaderField | undefined)[] = new Array(SHARED_FIELDS).fill(undefined);

  /** The field of that name and value, which lie in `buffer`. */
  of(buffer: Buffer, name: number, nameEnd: number, value: number, valueEnd: number): HeaderField {
    if (valueEnd - value > MAX_VALUE) return fieldOf(buffer, name, nameEnd, value, valueEnd);
    let hash = (nameEnd - name) * 31 + (buffer[name]! | 0x20) * 7 + (valueEnd - value);
    for (let at = Math.max(value, valueEnd - HASHED); at < valueEnd; at++) hash = (hash * 31 + buffer[at]!) | 0;
    const slot = (hash ^ (hash >>> 8) ^ (hash >>> 16)) & (SHARED_FIELDS - 1);
    const known = this.#fields[slot];
    if (known !== undefined && isField(known, buffer, name, nameEnd, value, valueEnd)) return known;
    const field = fieldOf(buffer, name, nameEnd, value, valueEnd);
    if (isSecret(field.name)) return field;
    field.slot = slot;
    this.#fields[slot] = field;
    return field;
  }
}

/** Whether that is the field whose name and value lie in `buffer`. */
export function isField(
  { name, value }: HeaderField,
  buffer: Buffer,
  start: number,
  nameEnd: number,
  valueStart: number,
  valueEnd: number,
): boolean {
  return equalsLower(buffer, start, nameEnd, name) && equalsOctets(buffer, valueStart, valueEnd, value);
}

function fieldOf(buffer: Buffer, name: number, nameEnd: number, value: number, valueEnd: number): HeaderField {
  const text = buffer.toString('latin1', name, nameEnd).toLowerCase();
  return new HeaderField(text, buffer.toString('latin1', value, valueEnd), false);
}
