// SPDX-License-Identifier: Apache-2.0
// The head of an HTTP/1.1 message (RFC 9112 sections 2 to 5): start line and fields, read in place. What is kept is a
// table of offsets; text is made when a rule asks for it. Strict on purpose: whatever two parsers behind each other could
// read differently is refused, for that difference is how requests are smuggled.
import { CLASS, equalsLower, TARGET, TOKEN, VALUE } from './octets.ts';
import { Http1Error } from './reason.ts';

const CR = 13;
const LF = 10;
const SP = 32;
const TAB = 9;
const COLON = 58;
const SLASH = 47;
const END = Buffer.from('\r\n\r\n');
/** Offsets kept of a field: name, its end, value, its end. */
const PER_FIELD = 4;
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[a-z0-9._~%!$&'()*+,;=-]*)(:\d{0,5})?$/i;
const DIGITS = /^\d{1,15}$/;

export interface HeadLimits {
  readonly maxFields: number;
  /** Octets of the whole head. */
  readonly maxBytes: number;
}

export const DEFAULT_HEAD_LIMITS: HeadLimits = Object.freeze({ maxFields: 128, maxBytes: 65_536 });

/** A parsed head; valid as long as the bytes it was read from are. Reused from message to message. */
export class Http1Head {
  buffer: Buffer = END;
  /** Of HTTP/1.x: 0 or 1. */
  minor = 1;
  /** 0 in a request. */
  status = 0;
  fields = 0;
  /** -1 if there is none. */
  contentLength = -1;
  chunked = false;
  /** Connection: close; or HTTP/1.0 without keep-alive. */
  close = false;
  upgrade = false;
  expectContinue = false;
  readonly #limits: HeadLimits;
  readonly #offsets: Int32Array;
  #methodStart = 0;
  #methodEnd = 0;
  #targetStart = 0;
  #targetEnd = 0;
  #keepAlive = false;
  #hosts = 0;
  #host = '';

  constructor(limits: HeadLimits = DEFAULT_HEAD_LIMITS) {
    this.#limits = limits;
    this.#offsets = new Int32Array(limits.maxFields * PER_FIELD);
  }

  get method(): string {
    return this.buffer.toString('latin1', this.#methodStart, this.#methodEnd);
  }

  /** The request target as it was sent. */
  get target(): string {
    return this.buffer.toString('latin1', this.#targetStart, this.#targetEnd);
  }

  /** Name of field `i`, lower case. */
  name(i: number): string {
    const at = i * PER_FIELD;
    return this.buffer.toString('latin1', this.#offsets[at], this.#offsets[at + 1]).toLowerCase();
  }

  value(i: number): string {
    const at = i * PER_FIELD;
    return this.buffer.toString('latin1', this.#offsets[at + 2], this.#offsets[at + 3]);
  }

  /** Index of the first field of that lower-case name from `from` on; -1 if there is none. */
  find(name: string, from = 0): number {
    for (let i = from; i < this.fields; i++) {
      const at = i * PER_FIELD;
      if (equalsLower(this.buffer, this.#offsets[at]!, this.#offsets[at + 1]!, name)) return i;
    }
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

  /** Where the request is for: the host of an absolute target, else Host; empty in HTTP/1.0 without one. */
  get authority(): string {
    const { target } = this;
    if (this.method === 'CONNECT') return target;
    return target.startsWith('/') || target === '*' ? this.#host : authorityOf(target);
  }

  /** Reads a request's head at `start`. Returns the offset behind it, 0 if it is not complete yet, or an error. */
  parseRequest(buffer: Buffer, start: number, end: number): number {
    const stop = this.#begin(buffer, start, end);
    if (stop <= 0) return stop;
    const line = buffer.indexOf(CR, start);
    const failed = this.#requestLine(buffer, start, line) || this.#section(buffer, line + 2, stop - 2);
    return failed || this.#checkRequest() || stop;
  }

  /** The same for a response. */
  parseResponse(buffer: Buffer, start: number, end: number): number {
    const stop = this.#begin(buffer, start, end);
    if (stop <= 0) return stop;
    const line = buffer.indexOf(CR, start);
    const failed = this.#statusLine(buffer, start, line) || this.#section(buffer, line + 2, stop - 2);
    return failed || this.#checkFraming() || stop;
  }

  /** Reads trailers, which end with an empty line as a head does. `start` is the first octet of the first of them. */
  parseTrailers(buffer: Buffer, start: number, end: number): number {
    this.#reset(buffer);
    this.status = 200;
    return this.#section(buffer, start, end - 2);
  }

  #begin(buffer: Buffer, start: number, end: number): number {
    this.#reset(buffer);
    const stop = buffer.subarray(start, end).indexOf(END);
    const size = stop < 0 ? end - start : stop + END.length;
    if (size > this.#limits.maxBytes) return Http1Error.headTooLarge;
    return stop < 0 ? 0 : start + size;
  }

  #reset(buffer: Buffer) {
    this.buffer = buffer;
    this.minor = 1;
    this.status = this.fields = this.#hosts = 0;
    this.contentLength = -1;
    this.chunked = this.close = this.upgrade = this.expectContinue = this.#keepAlive = false;
    this.#methodStart = this.#methodEnd = this.#targetStart = this.#targetEnd = 0;
    this.#host = '';
  }

  #requestLine(buffer: Buffer, start: number, end: number): number {
    if (buffer[end + 1] !== LF) return Http1Error.lineEnd;
    let at = run(buffer, start, end, TOKEN);
    if (at === start || buffer[at] !== SP) return Http1Error.method;
    this.#methodStart = start;
    this.#methodEnd = at;
    this.#targetStart = at + 1;
    at = run(buffer, at + 1, end, TARGET);
    if (at === this.#targetStart || buffer[at] !== SP) return Http1Error.target;
    this.#targetEnd = at;
    return this.#version(buffer, at + 1, end);
  }

  #statusLine(buffer: Buffer, start: number, end: number): number {
    if (buffer[end + 1] !== LF) return Http1Error.lineEnd;
    if (end - start < 12 || this.#version(buffer, start, start + 8) !== 0) return Http1Error.startLine;
    const status = buffer.toString('latin1', start + 9, start + 12);
    if (buffer[start + 8] !== SP || !/^[1-9]\d\d$/.test(status)) return Http1Error.status;
    // The reason may be missing, and its blank with it.
    if (end - start > 12 && buffer[start + 12] !== SP) return Http1Error.status;
    this.status = Number(status);
    return run(buffer, start + 12, end, VALUE) === end ? 0 : Http1Error.startLine;
  }

  #version(buffer: Buffer, start: number, end: number): number {
    const text = buffer.toString('latin1', start, end);
    if (text !== 'HTTP/1.1' && text !== 'HTTP/1.0') return Http1Error.version;
    this.minor = text === 'HTTP/1.1' ? 1 : 0;
    return 0;
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
    const at = this.fields++ * PER_FIELD;
    this.#offsets[at] = name;
    this.#offsets[at + 1] = nameEnd;
    this.#offsets[at + 2] = value;
    this.#offsets[at + 3] = valueEnd;
    const is = (text: string): boolean => equalsLower(this.buffer, name, nameEnd, text);
    switch (nameEnd - name) {
      case 4:
        return is('host') ? this.#onHost() : 0;
      case 6:
        if (is('expect') && equalsLower(this.buffer, value, valueEnd, '100-continue')) this.expectContinue = true;
        return 0;
      case 7:
        if (is('upgrade')) this.upgrade = true;
        return 0;
      case 10:
        if (is('connection')) this.#onConnection();
        return 0;
      case 14:
        return is('content-length') ? this.#onContentLength() : 0;
      case 17:
        return is('transfer-encoding') ? this.#onTransferEncoding(value, valueEnd) : 0;
      default:
        return 0;
    }
  }

  #onHost(): number {
    this.#host = this.value(this.fields - 1);
    return ++this.#hosts === 1 && AUTHORITY.test(this.#host) ? 0 : Http1Error.host;
  }

  #onConnection() {
    const options = listOf(this.value(this.fields - 1));
    if (options.includes('close')) this.close = true;
    if (options.includes('keep-alive')) this.#keepAlive = true;
  }

  #onContentLength(): number {
    const text = this.value(this.fields - 1);
    if (this.contentLength >= 0 || !DIGITS.test(text)) return Http1Error.contentLength;
    this.contentLength = Number(text);
    return 0;
  }

  #onTransferEncoding(value: number, valueEnd: number): number {
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
    if (this.minor === 1 && this.#hosts === 0) return Http1Error.host;
    const { method, target } = this;
    if (method === 'CONNECT') {
      if (!AUTHORITY.test(target) || !/:\d{1,5}$/.test(target)) return Http1Error.target;
    } else if (this.buffer[this.#targetStart] !== SLASH && (target !== '*' || method !== 'OPTIONS')) {
      const authority = authorityOf(target);
      if (authority === '' || !AUTHORITY.test(authority)) return Http1Error.target;
      if (this.#hosts > 0 && authority.toLowerCase() !== this.#host.toLowerCase()) return Http1Error.host;
    }
    return this.#checkFraming();
  }
}

/** The authority of an absolute http target; empty if it is none. */
function authorityOf(target: string): string {
  return /^https?:\/\/([^/?]+)/i.exec(target)?.[1] ?? '';
}

/** Elements of a comma-separated list, lower case. */
function listOf(value: string): string[] {
  return value
    .split(',')
    .map((element) => element.trim().toLowerCase())
    .filter((element) => element !== '');
}

/** The end of the run of octets of that class. */
function run(buffer: Buffer, start: number, end: number, mark: number): number {
  let at = start;
  while (at < end && (CLASS[buffer[at]!]! & mark) !== 0) at++;
  return at;
}
