// SPDX-License-Identifier: Apache-2.0
// A header section: pseudo-header fields by name, the others in their order. The same object comes out of the decoder
// and goes into the encoder, so a proxy passes on what it got.
import { AmbitError } from '#lib/kit/error.ts';
import { FIELD_OVERHEAD, HeaderField } from './hpack/field.ts';

// What RFC 9110 section 5.5 lets into a value: visible octets, blanks and tabs inside.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const BAD_VALUE = /[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]|^[ \t]|[ \t]$/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** Whether `value` may stand in a header field. */
export function isFieldValue(value: string): boolean {
  return !BAD_VALUE.test(value);
}

/** Whether `name` may name a regular header field: a token without capitals (RFC 9113 section 8.2.1). */
export function isFieldName(name: string): boolean {
  return NAME.test(name);
}

/** Request (method set), response (status set) or trailers (neither). An absent pseudo-header is the empty string. */
export class HeaderBlock {
  method = '';
  scheme = '';
  authority = '';
  path = '';
  /** RFC 8441 extended CONNECT. */
  protocol = '';
  /** 0 if there is none. */
  status = 0;
  readonly fields: HeaderField[] = [];

  /** A request; for plain CONNECT leave scheme and path empty. */
  static request(method: string, scheme: string, authority: string, path: string): HeaderBlock {
    const block = new HeaderBlock();
    block.method = checked(':method', method);
    block.scheme = checked(':scheme', scheme);
    block.authority = checked(':authority', authority);
    block.path = checked(':path', path);
    return block;
  }

  static response(status: number): HeaderBlock {
    const block = new HeaderBlock();
    block.status = status;
    return block;
  }

  /** Appends a regular field. Throws H2_FIELD_INVALID on a name or value that HTTP does not allow. */
  add(name: string, value: string, sensitive = false): this {
    if (!isFieldName(name))
      throw new AmbitError('H2_FIELD_INVALID', `header name ${JSON.stringify(name)} is not a lower-case token`);
    this.fields.push(new HeaderField(name, checked(name, value), sensitive));
    return this;
  }

  /** The first value under that name. */
  get(name: string): string | undefined {
    for (let i = 0; i < this.fields.length; i++) if (this.fields[i]!.name === name) return this.fields[i]!.value;
    return undefined;
  }

  /** All values under that name, in order. */
  all(name: string): string[] {
    return this.fields.filter((field) => field.name === name).map((field) => field.value);
  }

  /** Whether this is a CONNECT without RFC 8441's protocol: a bare tunnel. */
  get isTunnel(): boolean {
    return this.method === 'CONNECT' && this.protocol === '';
  }

  /** Size as SETTINGS_MAX_HEADER_LIST_SIZE counts it, regular fields only. */
  get size(): number {
    let octets = 0;
    for (let i = 0; i < this.fields.length; i++)
      octets += this.fields[i]!.name.length + this.fields[i]!.value.length + FIELD_OVERHEAD;
    return octets;
  }
}

function checked(name: string, value: string): string {
  if (isFieldValue(value)) return value;
  throw new AmbitError('H2_FIELD_INVALID', `value ${JSON.stringify(value)} of header ${name} is not allowed in HTTP`);
}
