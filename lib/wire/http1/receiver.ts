// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages from any split of a byte stream: heads whole, content as it arrives, in place. One message at a
// time: after the end of one the receiver takes no further byte until `next`, so a pipelining peer waits in its socket.
//
//   head ──▶ fixed | chunk size ⇄ chunk data | until close | tunnel ──▶ over ──next──▶ head
import { DEFAULT_HEAD_LIMITS, type HeadLimits, Http1Head } from './head.ts';
import type { HeadPool } from './head-pool.ts';
import { Http1Error } from './reason.ts';

/** Called synchronously from `receive`. */
export interface Http1Handler {
  /** A head is complete; it is valid until the method returns. A 1xx response is followed by another head. */
  onHead(head: Http1Head): void;
  /** Content; the bytes are valid until the method returns. */
  onBody(buffer: Buffer, start: number, end: number): void;
  /** The message is complete; trailers, if any, are valid until the method returns. */
  onEnd(trailers: Http1Head | null): void;
  /** The peer broke the protocol; nothing more is read. Codes of `Http1Error`. */
  onError(code: number): void;
}

const State = {
  head: 0,
  fixed: 1,
  chunkSize: 2,
  chunkData: 3,
  chunkEnd: 4,
  trailers: 5,
  untilClose: 6,
  tunnel: 7,
  over: 8,
  failed: 9,
} as const;

const NOTHING = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');
const CR = 13;
const LF = 10;
/** A line with a chunk's size, extensions included (RFC 9112 section 7.1.1 asks for a limit). */
const MAX_CHUNK_LINE = 256;
const MAX_TRAILERS = 8192;
/** Chunk extensions (RFC 9112 section 7.1.1), without the blanks that its grammar calls bad. */
const EXTENSIONS = /^(;[!#$%&'*+\-.^_`|~\w]+(=([!#$%&'*+\-.^_`|~\w]+|"[\t !#-[\]-~]*"))?)+$/;
/** Hexadecimal digits of a chunk's size: 2^40 octets. */
const MAX_SIZE_DIGITS = 10;

/** Reads one direction of a connection. */
export class Http1Receiver {
  readonly #server: boolean;
  readonly #handler: Http1Handler;
  readonly #head: Http1Head;
  /** Made for the first message that has some. */
  #trailers: Http1Head | null = null;
  readonly #maxHead: number;
  #state: number = State.head;
  /** Octets left of the content, or of the chunk. */
  #left = 0;
  /** A head, chunk line or trailers that were cut. */
  #held: Buffer = NOTHING;
  #have = 0;
  /** Response: what was asked, which decides whether there is content. */
  #method = '';

  /** `server` reads requests, the other role responses. */
  constructor(server: boolean, handler: Http1Handler, limits: HeadLimits = DEFAULT_HEAD_LIMITS, pool?: HeadPool) {
    this.#server = server;
    this.#handler = handler;
    this.#head = new Http1Head(limits, pool);
    this.#maxHead = limits.maxBytes;
  }

  /** The head that was read last; valid as `onHead` says. */
  get head(): Http1Head {
    return this.#head;
  }

  /** Whether the connection has become a tunnel: all further bytes come by `onBody`. */
  get isTunnel(): boolean {
    return this.#state === State.tunnel;
  }

  /** Whether the transport may end here without cutting a message. */
  get isIdle(): boolean {
    return this.#state === State.over || (this.#state === State.head && this.#have === 0);
  }

  /** Whether the message is complete. */
  get isOver(): boolean {
    return this.#state === State.over;
  }

  /** Before the answer to a request of that method arrives (client). */
  expect(method: string): void {
    this.#method = method;
  }

  /** Begins the next message, once the last one is over. */
  next(): void {
    if (this.#state === State.over) this.#state = State.head;
  }

  /** An accepted CONNECT, or a switch of protocols: from now on there are no messages. */
  becomeTunnel(): void {
    if (this.#state !== State.failed) this.#state = State.tunnel;
  }

  /** Takes bytes; returns the offset up to which it did. The rest belongs to the next message. */
  receive(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.#state < State.over) at = this.#step(buffer, at, end);
    return Math.min(at, end);
  }

  /** The transport has ended: the end of content without a length, or of a message that was cut. */
  end(): void {
    if (this.#state === State.untilClose) this.#over(null);
    else if (this.#state !== State.tunnel && this.#state !== State.failed && !this.isIdle)
      this.#fail(Http1Error.earlyEnd);
  }

  #step(buffer: Buffer, start: number, end: number): number {
    switch (this.#state) {
      case State.head:
        return this.#readHead(buffer, start, end);
      case State.fixed:
      case State.chunkData: {
        const stop = Math.min(end, start + this.#left);
        this.#left -= stop - start;
        this.#handler.onBody(buffer, start, stop);
        if (this.#left === 0 && this.#state === State.chunkData) this.#state = State.chunkEnd;
        else if (this.#left === 0 && this.#state === State.fixed) this.#over(null);
        return stop;
      }
      case State.chunkSize:
        return this.#readChunkSize(buffer, start, end);
      case State.chunkEnd:
        return this.#readChunkEnd(buffer, start);
      case State.trailers:
        return this.#readTrailers(buffer, start, end);
      default: // until close, tunnel
        this.#handler.onBody(buffer, start, end);
        return end;
    }
  }

  #readHead(buffer: Buffer, start: number, end: number): number {
    if (this.#have === 0) {
      const stop = this.#parse(buffer, start, end);
      if (stop > 0) return this.#gotHead(stop);
      return stop < 0 ? this.#fail(stop) : this.#hold(buffer, start, end, this.#maxHead, Http1Error.headTooLarge);
    }
    const before = this.#have;
    const taken = this.#hold(buffer, start, end, this.#maxHead, Http1Error.headTooLarge);
    if (this.#state !== State.head) return taken;
    // What was looked through before is not looked through again.
    if (this.#held.subarray(0, this.#have).indexOf(HEAD_END, Math.max(0, before - 3)) < 0) return taken;
    const stop = this.#parse(this.#held, 0, this.#have);
    if (stop === 0) return taken;
    if (stop < 0) return this.#fail(stop);
    this.#have = 0;
    this.#gotHead(stop);
    return start + stop - before;
  }

  #parse(buffer: Buffer, start: number, end: number): number {
    return this.#server ? this.#head.parseRequest(buffer, start, end) : this.#head.parseResponse(buffer, start, end);
  }

  /** Keeps bytes of a part that is not complete. */
  #hold(buffer: Buffer, start: number, end: number, limit: number, error: number): number {
    const take = Math.min(end - start, limit + 1 - this.#have);
    if (this.#have + take > this.#held.length || this.#have === 0) {
      const next = Buffer.allocUnsafeSlow(Math.min(limit + 1, Math.max(512, (this.#have + take) * 2)));
      this.#held.copy(next, 0, 0, this.#have);
      this.#held = next;
    }
    buffer.copy(this.#held, this.#have, start, start + take);
    this.#have += take;
    return this.#have > limit ? this.#fail(error) : start + take;
  }

  #gotHead(stop: number): number {
    const head = this.#head;
    this.#left = head.contentLength;
    this.#state = this.#server ? requestContent(head) : responseContent(head, this.#method);
    this.#handler.onHead(head);
    if (this.#state === State.over) this.#handler.onEnd(null);
    return stop;
  }

  #readChunkSize(buffer: Buffer, start: number, end: number): number {
    const taken = this.#line(buffer, start, end, MAX_CHUNK_LINE, Http1Error.chunkSize);
    if (this.#state !== State.chunkSize || !this.#complete()) return taken;
    const size = chunkSize(this.#held, this.#have - 2);
    this.#have = 0;
    if (size < 0) return this.#fail(Http1Error.chunkSize);
    this.#left = size;
    this.#state = size === 0 ? State.trailers : State.chunkData;
    return taken;
  }

  #readChunkEnd(buffer: Buffer, start: number): number {
    if (buffer[start] !== (this.#have === 0 ? CR : LF)) return this.#fail(Http1Error.chunkEnd);
    this.#have = this.#have === 0 ? 1 : 0;
    if (this.#have === 0) this.#state = State.chunkSize;
    return start + 1;
  }

  #readTrailers(buffer: Buffer, start: number, end: number): number {
    const taken = this.#line(buffer, start, end, MAX_TRAILERS, Http1Error.trailers);
    if (this.#state !== State.trailers || !this.#complete()) return taken;
    const size = this.#have;
    if (size > 2 && this.#held[size - 3] !== LF) return taken; // a trailer, not yet the empty line
    if (size > 2 && this.#held[size - 4] !== CR) return this.#fail(Http1Error.trailers);
    this.#have = 0;
    if (size === 2) this.#over(null);
    else {
      this.#trailers ??= new Http1Head({ maxFields: 32, maxBytes: MAX_TRAILERS });
      const trailers = this.#trailers;
      const failed = trailers.parseTrailers(this.#held, 0, size);
      // What decides framing or routing may not come late (RFC 9110 section 6.5.1).
      const late = ['content-length', 'transfer-encoding', 'host'].some((name) => trailers.find(name) >= 0);
      if (failed !== 0 || late) return this.#fail(Http1Error.trailers);
      this.#over(trailers);
    }
    return taken;
  }

  /** Takes bytes up to a line's end. */
  #line(buffer: Buffer, start: number, end: number, limit: number, error: number): number {
    const lineFeed = buffer.subarray(start, end).indexOf(LF);
    return this.#hold(buffer, start, lineFeed < 0 ? end : start + lineFeed + 1, limit, error);
  }

  #complete(): boolean {
    if (this.#held[this.#have - 1] !== LF) return false;
    if (this.#have >= 2 && this.#held[this.#have - 2] === CR) return true;
    this.#fail(this.#state === State.trailers ? Http1Error.trailers : Http1Error.chunkSize);
    return false;
  }

  #over(trailers: Http1Head | null) {
    this.#state = State.over;
    this.#handler.onEnd(trailers);
  }

  #fail(code: number): number {
    this.#state = State.failed;
    this.#handler.onError(code);
    return Number.MAX_SAFE_INTEGER;
  }
}

/** What follows a request's head (RFC 9112 section 6.3): content only if it is announced. */
function requestContent(head: Http1Head): number {
  if (head.chunked) return State.chunkSize;
  return head.contentLength > 0 ? State.fixed : State.over;
}

/** What follows a response's head: that depends on the request, too. */
function responseContent(head: Http1Head, method: string): number {
  const { status } = head;
  if (status < 200) return status === 101 ? State.tunnel : State.head;
  if (method === 'CONNECT' && status < 300) return State.tunnel;
  if (method === 'HEAD' || status === 204 || status === 304 || head.contentLength === 0) return State.over;
  if (head.chunked) return State.chunkSize;
  return head.contentLength > 0 ? State.fixed : State.untilClose;
}

/** The size in `line[0, end)`; -1 if it is malformed. Extensions may follow, and mean nothing here. */
function chunkSize(line: Buffer, end: number): number {
  let size = 0;
  let at = 0;
  for (; at < end; at++) {
    const digit = hexDigit(line[at]!);
    if (digit < 0) break;
    if (at >= MAX_SIZE_DIGITS) return -1;
    size = size * 16 + digit;
  }
  if (at === 0 || (at < end && !EXTENSIONS.test(line.toString('latin1', at, end)))) return -1;
  return size;
}

function hexDigit(octet: number): number {
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const lower = octet | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
