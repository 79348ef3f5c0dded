// SPDX-License-Identifier: Apache-2.0
// The head of an HTTP/1.1 message (RFC 9112 sections 2 to 5): start line and fields, read in place. What is kept is a
// table of offsets; text is made when a rule asks for it. Strict on purpose: whatever two parsers behind each other could
// read differently is refused, for that difference is how requests are smuggled.
import { authorityOf, isAuthority, isConnectTarget, isHost } from './authority.ts';
import { FieldKind, fieldKind } from './field-kind.ts';
import { FieldTable, listOf } from './fields.ts';
import { HeadPool } from './head-pool.ts';
import { equalsLower, equalsOctets, headEnd, run, TARGET, TOKEN, VALUE } from './octets.ts';
import { Http1Error } from './reason.ts';

const CR = 13;
const LF = 10;
const SP = 32;
const TAB = 9;
const COLON = 58;
const SLASH = 47;
const ZERO = 48;
const NOTHING = Buffer.alloc(0);
const VERSION = Buffer.from('HTTP/1.');
const MAX_LENGTH_DIGITS = 15;

export interface HeadLimits {
  readonly maxFields: number;
  /** Octets of the whole head. */
  readonly maxBytes: number;
}

export const DEFAULT_HEAD_LIMITS: HeadLimits = Object.freeze({ maxFields: 128, maxBytes: 65_536 });

/** A parsed head; valid as long as the bytes it was read from are. Reused from message to message. */
export class Http1Head extends FieldTable {
  /** Of HTTP/1.x: 0 or 1. */
  minor = 1;
  /** 0 in a request. */
  status = 0;
  /** -1 if there is none. */
  contentLength = -1;
  chunked = false;
  /** Connection: close; or HTTP/1.0 without keep-alive. */
  close = false;
  upgrade = false;
  expectContinue = false;
  /** The request is a CONNECT. */
  isConnect = false;
  /** Connection names fields beside `close`, `keep-alive` and `upgrade`. */
  hasOptions = false;
  readonly #limits: HeadLimits;
  #start = 0;
  #methodEnd = 0;
  #targetStart = 0;
  #targetEnd = 0;
  #keepAlive = false;
  /** Index of Host; -1 if there is none, -2 if there are several. */
  #host = -1;

  /** Texts of the last message: on one connection they mostly come again, and then no others are made. */
  #lastMethod = '';
  #lastTarget = '';
  #lastHost = '';
  readonly #pool: HeadPool;
  /** Where the head lies once it is kept. */
  #kept: Buffer | null = null;

  constructor(limits: HeadLimits = DEFAULT_HEAD_LIMITS, pool: HeadPool = new HeadPool(0)) {
    super(NOTHING);
    this.#limits = limits;
    this.#pool = pool;
  }

  get method(): string {
    if (!equalsOctets(this.buffer, this.#start, this.#methodEnd, this.#lastMethod))
      this.#lastMethod = this.buffer.toString('latin1', this.#start, this.#methodEnd);
    return this.#lastMethod;
  }

  /** The request target as it was sent. */
  get target(): string {
    if (!equalsOctets(this.buffer, this.#targetStart, this.#targetEnd, this.#lastTarget))
      this.#lastTarget = this.buffer.toString('latin1', this.#targetStart, this.#targetEnd);
    return this.#lastTarget;
  }

  /** The target is a path, as it nearly always is. */
  get hasPath(): boolean {
    return this.buffer[this.#targetStart] === SLASH;
  }

  /** Where the head begins. */
  get start(): number {
    return this.#start;
  }

  /** Octets of the whole head. */
  get size(): number {
    return this.end - this.#start;
  }

  /** Where the target begins. */
  get targetStart(): number {
    return this.#targetStart;
  }

  /** Where the target ends. */
  get targetEnd(): number {
    return this.#targetEnd;
  }

  /** Where the request is for: the host of an absolute target, else Host; empty in HTTP/1.0 without one. */
  get authority(): string {
    if (this.isConnect) return this.target;
    if (this.hasPath || this.target === '*') return this.#hostValue();
    return authorityOf(this.target);
  }

  /** Copies the head, so that it outlives the bytes that it was read from. */
  keep() {
    if (this.#kept !== null) return;
    const from = this.#start;
    const room = this.end - from > this.#pool.size ? Buffer.allocUnsafeSlow(this.end - from) : this.#pool.take();
    this.buffer.copy(room, 0, from, this.end);
    this.#kept = room;
    this.buffer = room;
    this.#start = 0;
    this.end -= from;
    this.#methodEnd -= from;
    this.#targetStart -= from;
    this.#targetEnd -= from;
    this.moved(from);
  }

  /** Lets go of bytes that were kept; nobody reads this head any more. */
  release() {
    if (this.#kept !== null) this.#reset(NOTHING, 0, 0);
  }

  /** Lets go of the bytes and texts. */
  forget() {
    this.#reset(NOTHING, 0, 0);
    this.#lastMethod = this.#lastTarget = this.#lastHost = '';
  }

  /** Reads a request's head at `start`. Returns the offset behind it, 0 if it is not complete yet, or an error. */
  parseRequest(buffer: Buffer, start: number, end: number): number {
    const stop = this.#begin(buffer, start, end);
    if (stop <= 0) return stop;
    const section = this.#requestLine(buffer, start, stop);
    if (section < 0) return section;
    return this.#section(buffer, section, stop - 2) || this.#checkRequest() || stop;
  }

  /** The same for a response. */
  parseResponse(buffer: Buffer, start: number, end: number): number {
    const stop = this.#begin(buffer, start, end);
    if (stop <= 0) return stop;
    const section = this.#statusLine(buffer, start, stop);
    if (section < 0) return section;
    return this.#section(buffer, section, stop - 2) || this.#checkFraming() || stop;
  }

  /** Reads trailers, which end with an empty line as a head does. `start` is the first octet of the first of them. */
  parseTrailers(buffer: Buffer, start: number, end: number): number {
    this.#reset(buffer, start, end);
    this.status = 200;
    return this.#section(buffer, start, end - 2);
  }

  #begin(buffer: Buffer, start: number, end: number): number {
    const stop = headEnd(buffer, start, end);
    this.#reset(buffer, start, stop);
    const size = (stop === 0 ? end : stop) - start;
    return size > this.#limits.maxBytes ? Http1Error.headTooLarge : stop;
  }

  #reset(buffer: Buffer, start: number, end: number) {
    if (this.#kept !== null) {
      this.#pool.give(this.#kept);
      this.#kept = null;
    }
    this.buffer = buffer;
    this.minor = 1;
    this.status = this.fields = this.kinds = 0;
    this.contentLength = this.#host = -1;
    this.chunked = this.close = this.upgrade = this.expectContinue = this.#keepAlive = false;
    this.isConnect = this.hasOptions = false;
    this.#start = this.#methodEnd = this.#targetStart = this.#targetEnd = start;
    this.end = end;
  }

  #hostValue(): string {
    const i = this.#host;
    if (i < 0) return '';
    if (!this.hasValue(i, this.#lastHost)) this.#lastHost = this.value(i);
    return this.#lastHost;
  }

  #requestLine(buffer: Buffer, start: number, end: number): number {
    let at = run(buffer, start, end, TOKEN);
    if (at === start || buffer[at] !== SP) return Http1Error.method;
    this.#methodEnd = at;
    this.isConnect = equalsOctets(buffer, start, at, 'CONNECT');
    this.#targetStart = at + 1;
    at = run(buffer, at + 1, end, TARGET);
    if (at === this.#targetStart || buffer[at] !== SP) return Http1Error.target;
    this.#targetEnd = at;
    if (!this.#version(buffer, at + 1) || buffer[at + 9] !== CR) return Http1Error.version;
    return buffer[at + 10] === LF ? at + 11 : Http1Error.lineEnd;
  }

  #statusLine(buffer: Buffer, start: number, end: number): number {
    if (end - start < 16 || !this.#version(buffer, start)) return Http1Error.startLine;
    let status = 0;
    for (let at = start + 9; at < start + 12; at++) {
      const digit = buffer[at]! - ZERO;
      if (digit < 0 || digit > 9) return Http1Error.status;
      status = status * 10 + digit;
    }
    // The reason may be missing, and its blank with it.
    const next = buffer[start + 12];
    if (buffer[start + 8] !== SP || status < 100 || (next !== SP && next !== CR)) return Http1Error.status;
    this.status = status;
    const lineEnd = run(buffer, start + 12, end, VALUE);
    if (buffer[lineEnd] !== CR) return buffer[lineEnd] === LF ? Http1Error.lineEnd : Http1Error.startLine;
    return buffer[lineEnd + 1] === LF ? lineEnd + 2 : Http1Error.lineEnd;
  }

  /** Whether HTTP/1.0 or HTTP/1.1 stands there; the head's end is further on than that takes. */
  #version(buffer: Buffer, start: number): boolean {
    for (let i = 0; i < VERSION.length; i++) if (buffer[start + i] !== VERSION[i]) return false;
    this.minor = buffer[start + VERSION.length]! - ZERO;
    return this.minor === 0 || this.minor === 1;
  }

  /** Field lines in `buffer[start, end)`, each with its line end. */
  #section(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end) {
      if (this.fields === this.#limits.maxFields) return Http1Error.tooManyFields;
      const nameEnd = run(buffer, at, end, TOKEN);
      if (nameEnd === at || buffer[nameEnd] !== COLON)
        return buffer[at] === SP || buffer[at] === TAB ? Http1Error.lineEnd : Http1Error.fieldName;
      let value = nameEnd + 1;
      while (buffer[value] === SP || buffer[value] === TAB) value++;
      const lineEnd = run(buffer, value, end, VALUE);
      if (lineEnd === end) return Http1Error.lineEnd;
      if (buffer[lineEnd] !== CR) return buffer[lineEnd] === LF ? Http1Error.lineEnd : Http1Error.fieldValue;
      if (buffer[lineEnd + 1] !== LF) return Http1Error.lineEnd;
      let valueEnd = lineEnd;
      while (valueEnd > value && (buffer[valueEnd - 1] === SP || buffer[valueEnd - 1] === TAB)) valueEnd--;
      const failed = this.#field(at, nameEnd, value, valueEnd);
      if (failed !== 0) return failed;
      at = lineEnd + 2;
    }
    return at === end ? 0 : Http1Error.lineEnd;
  }

  #field(name: number, nameEnd: number, value: number, valueEnd: number): number {
    const kind = fieldKind(this.buffer, name, nameEnd);
    const index = this.add(name, nameEnd, value, valueEnd, kind);
    if (kind === FieldKind.other) return 0;
    switch (kind) {
      case FieldKind.host:
        return this.#onHost(index, value, valueEnd);
      case FieldKind.expect:
        if (equalsLower(this.buffer, value, valueEnd, '100-continue')) this.expectContinue = true;
        return 0;
      case FieldKind.upgrade:
        this.upgrade = true;
        return 0;
      case FieldKind.connection:
        return this.#onConnection(value, valueEnd);
      case FieldKind.contentLength:
        return this.#onContentLength(value, valueEnd);
      case FieldKind.transferEncoding:
        return this.#onTransferEncoding(nameEnd + 1, value, valueEnd);
      default:
        return 0;
    }
  }

  #onHost(index: number, value: number, valueEnd: number): number {
    if (this.#host !== -1) return Http1Error.host;
    this.#host = index;
    return isHost(this.buffer, value, valueEnd) ? 0 : Http1Error.host;
  }

  #onConnection(value: number, valueEnd: number): number {
    if (equalsLower(this.buffer, value, valueEnd, 'close')) this.close = true;
    else if (equalsLower(this.buffer, value, valueEnd, 'keep-alive')) this.#keepAlive = true;
    else {
      for (const option of listOf(this.buffer.toString('latin1', value, valueEnd))) {
        if (option === 'close') this.close = true;
        else if (option === 'keep-alive') this.#keepAlive = true;
        else if (option !== 'upgrade') this.hasOptions = true;
      }
    }
    return 0;
  }

  #onContentLength(value: number, valueEnd: number): number {
    const digits = valueEnd - value;
    if (this.contentLength >= 0 || digits === 0 || digits > MAX_LENGTH_DIGITS) return Http1Error.contentLength;
    let length = 0;
    for (let at = value; at < valueEnd; at++) {
      const digit = this.buffer[at]! - ZERO;
      if (digit < 0 || digit > 9) return Http1Error.contentLength;
      length = length * 10 + digit;
    }
    this.contentLength = length;
    return 0;
  }

  /** By the grammar a tab beside the value is white space; common parsers read one otherwise, so what delimits content may have none. */
  #onTransferEncoding(behindColon: number, value: number, valueEnd: number): number {
    if (hasTab(this.buffer, behindColon) || hasTab(this.buffer, valueEnd)) return Http1Error.transferEncoding;
    if (this.chunked || !equalsLower(this.buffer, value, valueEnd, 'chunked')) return Http1Error.transferEncoding;
    this.chunked = true;
    return 0;
  }

  /** What both kinds of message must keep (RFC 9112 section 6.3). */
  #checkFraming(): number {
    if (this.minor === 0 && !this.#keepAlive) this.close = true;
    if (this.chunked && this.minor === 0) return Http1Error.transferEncoding;
    if (this.chunked && this.contentLength >= 0) return Http1Error.bothLengths;
    const empty = this.status !== 0 && (this.status < 200 || this.status === 204);
    return empty && (this.chunked || this.contentLength > 0) ? Http1Error.forbiddenBody : 0;
  }

  #checkRequest(): number {
    if (this.minor === 1 && this.#host === -1) return Http1Error.host;
    if (this.isConnect) {
      if (!isConnectTarget(this.target)) return Http1Error.target;
    } else if (!this.hasPath && (this.target !== '*' || this.method !== 'OPTIONS')) {
      const authority = authorityOf(this.target);
      if (authority === '' || !isAuthority(authority)) return Http1Error.target;
      if (this.#host >= 0 && authority.toLowerCase() !== this.value(this.#host).toLowerCase()) return Http1Error.host;
    }
    return this.#checkFraming();
  }
}

/** Whether the white space that begins at `at` has a tab. */
function hasTab(buffer: Buffer, at: number): boolean {
  let next = at;
  while (buffer[next] === SP) next++;
  return buffer[next] === TAB;
}
