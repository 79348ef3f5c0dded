// SPDX-License-Identifier: Apache-2.0
// A header field that a proxy adds, written once: as the line of HTTP/1 that it is, and as HTTP/2's field when that is asked for.
import { AmbitError } from '#lib/kit/error.ts';
import { isFieldName, isFieldValue } from '../h2/headers.ts';
import { HeaderField } from '../h2/hpack/field.ts';
import { FieldKind, kindOfName } from '../http1/field-kind.ts';
import type { FieldCache } from './field-cache.ts';

const BETWEEN = ': '.length;
const CRLF = '\r\n'.length;

export class FieldLine {
  /** Lower case. */
  readonly name: string;
  /** See `FieldKind`. */
  readonly kind: number;
  /** The line lies in `buffer[start, end)`, its line end included. */
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  #field: HeaderField | null = null;
  /** As it is shared. */
  #shared: HeaderField | null = null;

  /** Of a line that is already written. */
  constructor(name: string, kind: number, buffer: Buffer, start: number, end: number) {
    this.name = name;
    this.kind = kind;
    this.buffer = buffer;
    this.start = start;
    this.end = end;
  }

  /** Throws HTTP_FIELD_INVALID for what would not be one field. */
  static of(name: string, value: string): FieldLine {
    if (!isFieldName(name) || !isFieldValue(value))
      throw new AmbitError('HTTP_FIELD_INVALID', `field ${JSON.stringify(name)} cannot be written`);
    const buffer = Buffer.from(`${name}: ${value}\r\n`, 'latin1');
    return new FieldLine(name, kindOfName(name), buffer, 0, buffer.length);
  }

  get value(): string {
    return this.field.value;
  }

  /** As HTTP/2's. */
  fieldIn(cache: FieldCache): HeaderField {
    // An id is never the same twice.
    if (this.kind === FieldKind.requestId) return this.field;
    if (this.#shared === null) {
      const nameEnd = this.start + this.name.length;
      this.#shared = cache.of(this.buffer, this.start, nameEnd, nameEnd + BETWEEN, this.end - CRLF);
    }
    return this.#shared;
  }

  get field(): HeaderField {
    if (this.#field === null) {
      const value = this.buffer.toString('latin1', this.start + this.name.length + BETWEEN, this.end - CRLF);
      this.#field = new HeaderField(this.name, value, false);
    }
    return this.#field;
  }
}
