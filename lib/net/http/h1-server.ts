// SPDX-License-Identifier: Apache-2.0
// A client's HTTP/1 connection: one request at a time, the next one read when the last is answered.
import type { Arena } from '#lib/linux/arena.ts';
import type { Resumable } from '#lib/loop/loop.ts';
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import { NO_EDITS } from '#lib/wire/http/edits.ts';
import { MessageHead } from '#lib/wire/http/message.ts';
import { boundOfHttp1, Framing, writeHttp1Response } from '#lib/wire/http/to-http1.ts';
import type { HeadLimits, Http1Head } from '#lib/wire/http1/head.ts';
import { http1Reason, http1Status } from '#lib/wire/http1/reason.ts';
import { type Http1Handler, Http1Receiver } from '#lib/wire/http1/receiver.ts';
import { statusLine } from '#lib/wire/http1/writer.ts';
import type { HttpBench } from './bench.ts';
import {
  HIGH_WATER,
  type HttpConnection,
  type HttpService,
  type ServerStream,
  type ServerTimeouts,
  type ServerUser,
  type Trailers,
} from './exchange.ts';
import type { Link, LinkOwner } from './link.ts';
import { writeChunk, writeLastChunk, writePlain } from './write-body.ts';

/** Content of a request that is thrown away behind an early answer, so that the connection can live on. */
const DISCARD_BYTES = 256 * 1024;
/** How long a connection that drains waits for one more request. */
const LINGER_MS = 1000;

export class H1Server implements LinkOwner, Http1Handler, ServerStream, HttpConnection, Resumable {
  place = -1;
  resumeQueued = false;
  readonly context: unknown;
  readonly head: MessageHead;
  received = 0;
  sent = 0;
  responded = false;
  readonly #bench: HttpBench;
  readonly #link: Link;
  readonly #service: HttpService;
  readonly #timeouts: ServerTimeouts;
  readonly #receiver: Http1Receiver;
  #user: ServerUser | null = null;
  /** A request is under way. */
  #busy = false;
  #requestDone = false;
  #responseDone = false;
  #framing: number = Framing.none;
  #tunnel = false;
  #close = false;
  /** The next answer is the last one. */
  #draining = false;
  #isHead = false;
  #oldClient = false;
  #continued = false;
  #expects = false;
  #discarded = 0;
  /** In a tunnel: the client's direction has ended. */
  #fin = false;
  /** Bytes behind the end of the last request. */
  #held: Buffer | null = null;
  /** Where the bytes that are being read lie. */
  #arena: Arena | null = null;
  #over = false;
  /** Monotonic ms since when it waits for (the rest of) a head; 0 while it does not. */
  #waitingSince: number;
  #headBegun = false;

  /** Takes over `link`. */
  constructor(
    bench: HttpBench,
    link: Link,
    service: HttpService,
    context: unknown,
    timeouts: ServerTimeouts,
    limits?: HeadLimits,
  ) {
    this.#bench = bench;
    this.#link = link;
    this.#service = service;
    this.context = context;
    this.#timeouts = timeouts;
    this.#receiver = new Http1Receiver(true, this, limits, bench.heads);
    this.head = MessageHead.ofHttp1(this.#receiver.head);
    this.#waitingSince = bench.loop.now;
    link.owner = this;
  }

  // === LinkOwner ===

  onBytes(link: Link, arena: Arena, start: number, end: number): void {
    this.#arena = arena;
    this.#read(arena.bytes, start, end);
    this.#arena = null;
    if (this.#held !== null && !this.#over) link.pause();
  }

  onFin(): void {
    if (this.#over) return;
    if (this.#tunnel) {
      this.#fin = true;
      this.#user?.onRequestEnd(null);
      this.#afterTunnel();
      return;
    }
    // A client that has said all may still listen.
    this.#close = true;
    if (this.#busy && this.#requestDone) return;
    this.#receiver.end();
    if (!this.#over) this.#end();
  }

  onBroken(_link: Link, cause: string): void {
    this.#gone(cause);
  }

  onDrained(): void {
    this.#user?.onResponseRoom();
  }

  /** Reads what lay behind the end of the last request. */
  resume(): void {
    const held = this.#held;
    if (held === null || this.#over) return;
    this.#held = null;
    this.#read(held, 0, held.length);
    if (this.#held === null && !this.#over) this.#link.resume();
  }

  // === Http1Handler ===

  onHead(head: Http1Head): void {
    this.#busy = true;
    this.#requestDone = this.#responseDone = this.responded = false;
    this.#continued = false;
    this.#waitingSince = 0;
    this.#headBegun = false;
    this.#discarded = 0;
    this.received = head.size;
    this.sent = 0;
    this.#close ||= head.close;
    this.#isHead = this.head.isHead;
    this.#oldClient = head.minor === 0;
    this.#expects = head.expectContinue;
    this.#user = this.#service.onRequest(this, this);
    if (this.#responseDone) this.#user = null;
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.received += end - start;
    if (this.#user !== null) this.#user.onRequestBody(this.#arena, bytes, start, end);
    else {
      this.#discarded += end - start;
      if (this.#discarded > DISCARD_BYTES) this.#end();
    }
  }

  onEnd(trailers: Trailers): void {
    if (this.#over) return;
    this.#requestDone = true;
    this.#user?.onRequestEnd(trailers);
    if (this.#responseDone && !this.#over) this.#next();
  }

  onError(code: number): void {
    const status = http1Status(code);
    const reason = http1Reason(code);
    if (this.#busy) {
      this.#gone(`client broke the protocol: ${reason}`);
      return;
    }
    this.#refuse(status, reason);
  }

  // === ServerStream ===

  interim(head: MessageHead): void {
    if (this.#over || this.responded || this.#oldClient) return;
    if (head.status === 100) this.#continued = true;
    this.#write(head, NO_EDITS, Framing.none, -1, false);
  }

  respond(head: MessageHead, edits: HeadEdits, ends: boolean): void {
    if (this.#over || this.responded) return;
    this.responded = true;
    const { status } = head;
    const bodyless = this.#isHead || status === 204 || status === 304;
    // A client that waits for a 100 may or may not send its content now: only an end of the connection is unambiguous.
    if (this.#expects && !this.#continued && !this.#requestDone) this.#close = true;
    let length = -1;
    if (bodyless) this.#framing = Framing.none;
    else if (head.contentLength >= 0) this.#framing = Framing.length;
    else if (ends) {
      this.#framing = Framing.length;
      length = 0;
    } else if (this.#oldClient) {
      this.#framing = Framing.none;
      this.#close = true;
    } else this.#framing = Framing.chunked;
    this.#write(head, edits, bodyless && !this.#isHead ? Framing.none : this.#framing, length, false);
    if (ends || bodyless) this.#responseEnded();
  }

  upgrade(head: MessageHead, edits: HeadEdits): void {
    if (this.#over || this.responded) return;
    this.responded = this.#tunnel = true;
    this.#framing = Framing.none;
    this.#receiver.becomeTunnel();
    this.#write(head, edits, Framing.none, -1, true);
    this.#bench.loop.again(this);
  }

  body(arena: Arena | null, bytes: Buffer, start: number, end: number): boolean {
    if (this.#over || this.#responseDone) return true;
    const link = this.#link;
    this.sent += end - start;
    if (this.#framing === Framing.chunked) writeChunk(this.#bench.cork, link, arena, bytes, start, end);
    else writePlain(this.#bench.cork, link, arena, bytes, start, end);
    return link.backlog < HIGH_WATER;
  }

  end(trailers: Trailers): void {
    if (this.#over || this.#responseDone) return;
    if (this.#tunnel) {
      this.#responseDone = true;
      this.#link.finish();
      this.#afterTunnel();
      return;
    }
    if (this.#framing === Framing.chunked) this.sent += writeLastChunk(this.#bench.cork, this.#link, trailers);
    this.#responseEnded();
  }

  abort(): void {
    if (this.#over) return;
    this.#user = null;
    this.#finish();
    this.#link.abort();
  }

  pauseRequest(): void {
    this.#link.pause();
  }

  resumeRequest(): void {
    if (this.#held === null && !this.#over) this.#link.resume();
  }

  // === HttpConnection ===

  /**
   * The client is told in the next answer that it is the last one. A connection on which no answer is due is left open for a moment:
   * what was asked at the same time as this end began would be lost with it.
   */
  drain(): void {
    this.#draining = true;
    if (!this.#busy && !this.#headBegun) this.#waitingSince = this.#bench.loop.now;
  }

  kill(): void {
    if (!this.#over) this.#gone('connection closed due to connection drain');
  }

  sweep(now: number): void {
    if (this.#over) return;
    const { idleMs, headMs, stallMs } = this.#timeouts;
    if (stallMs > 0 && this.#link.backlog > 0 && now - this.#link.progressAt >= stallMs) {
      this.#gone('client takes nothing of its answer');
    } else if (this.#waitingSince > 0) {
      if (!this.#headBegun) this.head.h1?.release();
      const limit = this.#headBegun ? headMs : this.#draining ? LINGER_MS : idleMs;
      if (limit === 0 || now - this.#waitingSince < limit) return;
      if (this.#headBegun) this.#refuse(408, 'the head of the request does not end');
      else this.#end();
    }
  }

  // === inside ===

  #read(bytes: Buffer, start: number, end: number) {
    const at = this.#receiver.receive(bytes, start, end);
    if (this.#over) return;
    if (at < end) {
      const rest = bytes.subarray(at, end);
      this.#held = this.#held === null ? Buffer.from(rest) : Buffer.concat([this.#held, rest]);
    } else if (!this.#busy && !this.#headBegun && !this.#receiver.isIdle) {
      this.#headBegun = true;
      this.#waitingSince = this.#bench.loop.now;
    }
  }

  #write(head: MessageHead, edits: HeadEdits, framing: number, length: number, upgrade: boolean) {
    const { cork, writeOptions: options } = this.#bench;
    cork.open(this.#link, boundOfHttp1(head, edits));
    options.framing = framing;
    options.length = length;
    options.upgrade = upgrade;
    const final = head.status >= 200;
    if (final && this.#draining) this.#close = true;
    options.close = final && this.#close;
    options.keepAlive = final && this.#oldClient;
    const from = cork.at;
    cork.at = writeHttp1Response(cork.bytes, from, head, edits, options);
    this.sent += cork.at - from;
  }

  #responseEnded() {
    this.#responseDone = true;
    this.#user = null;
    if (this.#requestDone) this.#next();
    else if (this.#close) this.#end();
    else if (this.#held === null) this.#link.resume();
  }

  #next() {
    this.#busy = false;
    if (this.#close) {
      this.#end();
      return;
    }
    this.#waitingSince = this.#bench.loop.now;
    this.#receiver.next();
    if (this.#held !== null) this.#bench.loop.again(this);
    else if (this.#link.paused) this.#link.resume();
  }

  #afterTunnel() {
    if (this.#fin && this.#responseDone) this.#end();
  }

  /** Answers what is no request, and ends. */
  #refuse(status: number, reason: string) {
    this.#service.onBadRequest(this, status, reason);
    const text = `${statusLine(status)}content-length: 0\r\nconnection: close\r\n\r\n`;
    const bytes = Buffer.from(text, 'latin1');
    this.#bench.cork.write(this.#link, bytes, 0, bytes.length);
    this.#end();
  }

  /** In good order: what was written arrives. */
  #end() {
    this.#finish();
    this.#link.close();
  }

  #gone(cause: string) {
    if (this.#over) return;
    const user = this.#user;
    this.#user = null;
    this.#finish();
    this.#link.abort();
    user?.onClientGone(cause);
  }

  #finish() {
    if (this.#over) return;
    this.#over = true;
    this.#held = null;
    this.#service.onConnectionEnd(this);
  }
}
