// SPDX-License-Identifier: Apache-2.0
// From decoded fields to a header section, refusing what RFC 9113 section 8 calls malformed and what two parsers behind
// each other could read differently. Collects at most the announced list size, whatever the block says.
import { HeaderBlock, isFieldName, isFieldValue } from './headers.ts';
import { FIELD_OVERHEAD, type HeaderField } from './hpack/field.ts';

// Verdicts, cached on the field (a field of the dynamic table is judged once).
const REGULAR = 1;
/** Beyond this many times the limit a block is not even read to its end, which ends the connection. */
const HOPELESS = 4;
const MALFORMED = 2;
const CONTENT_LENGTH = 3;
const HOST = 4;
const METHOD = 5;
const SCHEME = 6;
const AUTHORITY = 7;
const PATH = 8;
const PROTOCOL = 9;
const STATUS = 10;

const PSEUDO: Readonly<Record<string, number>> = {
  ':method': METHOD,
  ':scheme': SCHEME,
  ':authority': AUTHORITY,
  ':path': PATH,
  ':protocol': PROTOCOL,
  ':status': STATUS,
};
const CONNECTION_SPECIFIC = new Set(['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade']);
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const SCHEME_SYNTAX = /^[A-Za-z][A-Za-z0-9+.-]*$/;
const BAD_AUTHORITY = /[\s/?#@\\]/;
const BAD_PATH = /[\s#]/;
const DIGITS = /^\d{1,15}$/;

/** What a header section is to be. */
export type SectionKind = 'request' | 'response' | 'trailers';

function judge(field: HeaderField): number {
  const { name, value } = field;
  if (name.charCodeAt(0) === 0x3a) {
    const pseudo = PSEUDO[name];
    return pseudo === undefined || !isFieldValue(value) ? MALFORMED : pseudo;
  }
  if (!isFieldName(name) || !isFieldValue(value) || CONNECTION_SPECIFIC.has(name)) return MALFORMED;
  if (name === 'content-length') return DIGITS.test(value) ? CONTENT_LENGTH : MALFORMED;
  if (name === 'host') return HOST;
  return name === 'te' && value.toLowerCase() !== 'trailers' ? MALFORMED : REGULAR;
}

/** Collects the fields of one block at a time. */
export class HeaderAssembler {
  /** The block was larger than the list limit; what is in `block` is its beginning. */
  tooLarge = false;
  /** It is larger than that many times: an octet can name 4 KiB of the table, and there may be a thousand octets. */
  hopeless = false;
  /** Why the section is malformed; empty while it is not. */
  malformed = '';
  /** Content-Length, or -1. */
  contentLength = -1;
  block = new HeaderBlock();
  readonly #limit: number;
  #size = 0;
  #seen = 0;
  #host = '';

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Forgets the last block. */
  begin(): void {
    this.block = new HeaderBlock();
    this.tooLarge = this.hopeless = false;
    this.malformed = '';
    this.contentLength = -1;
    this.#size = this.#seen = 0;
    this.#host = '';
  }

  onField(field: HeaderField): void {
    this.#size += field.name.length + field.value.length + FIELD_OVERHEAD;
    if (this.#size > this.#limit) {
      this.tooLarge = true;
      this.hopeless = this.#size > this.#limit * HOPELESS;
      return;
    }
    if (this.malformed !== '') return;
    if (field.verdict === 0) field.verdict = judge(field);
    if (field.verdict >= METHOD) this.#pseudo(field);
    else this.#regular(field);
  }

  #regular(field: HeaderField): void {
    switch (field.verdict) {
      case MALFORMED:
        this.malformed = `field ${JSON.stringify(field.name.slice(0, 40))} is not allowed`;
        return;
      case CONTENT_LENGTH:
        if (this.contentLength >= 0) this.malformed = 'content-length appears twice';
        this.contentLength = Number(field.value);
        break;
      case HOST:
        if (this.#host !== '') this.malformed = 'host appears twice';
        this.#host = field.value;
        break;
      default:
    }
    this.block.fields.push(field);
  }

  #pseudo(field: HeaderField): void {
    const { block } = this;
    const mark = 1 << field.verdict;
    if ((this.#seen & mark) !== 0) this.malformed = `${field.name} appears twice`;
    else if (block.fields.length > 0) this.malformed = `${field.name} follows a regular field`;
    this.#seen |= mark;
    switch (field.verdict) {
      case METHOD:
        block.method = field.value;
        break;
      case SCHEME:
        block.scheme = field.value;
        break;
      case AUTHORITY:
        block.authority = field.value;
        break;
      case PATH:
        block.path = field.value;
        break;
      case PROTOCOL:
        block.protocol = field.value;
        break;
      default:
        block.status = /^[1-9]\d\d$/.test(field.value) ? Number(field.value) : 0;
    }
  }

  /** Ends the block: says what is wrong with it as a section of that kind, or nothing. */
  finish(kind: SectionKind, extendedConnect: boolean): string {
    if (this.malformed !== '') return this.malformed;
    if (kind === 'trailers') return this.#seen === 0 ? '' : 'trailers hold a pseudo-header';
    return kind === 'request' ? this.#request(extendedConnect) : this.#response();
  }

  #response(): string {
    const { status } = this.block;
    if (this.#seen !== 1 << STATUS) return 'a response has :status and no other pseudo-header';
    return status === 0 || status === 101 ? ':status is not a status of HTTP/2' : '';
  }

  #request(extendedConnect: boolean): string {
    const { method, scheme, authority, path, protocol } = this.block;
    if ((this.#seen & (1 << STATUS)) !== 0) return 'a request has no :status';
    if (!TOKEN.test(method)) return ':method is missing or no token';
    if (BAD_AUTHORITY.test(authority)) return ':authority holds what no authority may';
    if (this.#host !== '' && authority !== '' && this.#host.toLowerCase() !== authority.toLowerCase())
      return 'host differs from :authority';
    const extended = (this.#seen & (1 << PROTOCOL)) !== 0;
    if (extended && (method !== 'CONNECT' || !extendedConnect || protocol === '')) return ':protocol is not allowed';
    if (method === 'CONNECT' && authority === '') return 'CONNECT has no :authority';
    if (method === 'CONNECT' && !extended) {
      return (this.#seen & ((1 << SCHEME) | (1 << PATH))) === 0 ? '' : 'CONNECT has :scheme or :path';
    }
    if (!SCHEME_SYNTAX.test(scheme)) return ':scheme is missing or no scheme';
    if (path === '' || BAD_PATH.test(path)) return ':path is missing or holds what no path may';
    const rooted = path.charCodeAt(0) === 0x2f || (path === '*' && method === 'OPTIONS');
    return rooted || (scheme !== 'http' && scheme !== 'https') ? '' : ':path does not start with a slash';
  }
}
