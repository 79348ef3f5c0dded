// SPDX-License-Identifier: Apache-2.0
// An HTTP/1 connection to a server: one request at a time, then back to where it was taken from. Bytes behind the end of an
// answer belong to no request of ours: such a connection is never used again, or one client would read another's answer.
import type { Arena } from '#lib/linux/arena.ts';
import type { HeadEdits } from '#lib/wire/http/edits.ts';
import { MessageHead } from '#lib/wire/http/message.ts';
import { boundOfHttp1, Framing, writeHttp1Request } from '#lib/wire/http/to-http1.ts';
import type { Http1Head } from '#lib/wire/http1/head.ts';
import { http1Reason } from '#lib/wire/http1/reason.ts';
import { type Http1Handler, Http1Receiver } from '#lib/wire/http1/receiver.ts';
import type { HttpBench } from './bench.ts';
import { type ClientStream, type ClientUser, type FailureKind, HIGH_WATER, type Trailers } from './exchange.ts';
import type { Link, LinkOwner } from './link.ts';
import { writeChunk, writeLastChunk, writePlain } from './write-body.ts';

/** Where idle connections live. */
export interface H1Home {
  /** The connection may serve another request. */
  onIdle(client: H1Client): void;
  /** The connection is gone. */
  onGone(client: H1Client): void;
}

export class H1Client implements LinkOwner, Http1Handler, ClientStream {
  readonly localAddress: string;
  /** Requests begun on it. */
  requests = 0;
  /** Monotonic ms. */
  readonly bornAt: number;
  /** Monotonic ms since when it has been idle. */
  idleSince = 0;
  readonly #bench: HttpBench;
  readonly #link: Link;
  readonly #home: H1Home;
  readonly #receiver: Http1Receiver;
  readonly #head: MessageHead;
  #user: ClientUser | null = null;
  #framing: number = Framing.none;
  #requestDone = true;
  #responseDone = true;
  #begun = false;
  #reusable = true;
  #tunnel = false;
  #upgrading = false;
  #over = false;
  #arena: Arena | null = null;

  /** Takes over a connected link. */
  constructor(bench: HttpBench, link: Link, home: H1Home, localAddress: string) {
    this.#bench = bench;
    this.#link = link;
    this.#home = home;
    this.localAddress = localAddress;
    this.bornAt = bench.loop.now;
    this.#receiver = new Http1Receiver(false, this);
    this.#head = MessageHead.ofHttp1(this.#receiver.head);
    link.owner = this;
  }

  get closed(): boolean {
    return this.#over;
  }

  /** Ends an idle connection. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#link.close();
    this.#home.onGone(this);
  }

  // === ClientStream ===

  send(user: ClientUser, head: MessageHead, edits: HeadEdits, ends: boolean): void {
    this.#user = user;
    this.requests++;
    this.#requestDone = this.#responseDone = this.#begun = false;
    this.#reusable = true;
    const { method } = head;
    this.#upgrading = isUpgrade(head);
    this.#receiver.next();
    this.#receiver.expect(method);
    const { cork, writeOptions: options } = this.#bench;
    cork.open(this.#link, boundOfHttp1(head, edits));
    this.#framing = ends ? Framing.none : head.contentLength >= 0 ? Framing.length : Framing.chunked;
    options.framing = this.#framing;
    options.length = -1;
    options.upgrade = this.#upgrading;
    options.close = options.keepAlive = false;
    cork.at = writeHttp1Request(cork.bytes, cork.at, head, edits, options);
    if (ends) this.#requestDone = true;
  }

  body(arena: Arena | null, bytes: Buffer, start: number, end: number): boolean {
    if (this.#over || (this.#requestDone && !this.#tunnel)) return true;
    if (this.#framing === Framing.chunked) writeChunk(this.#bench.cork, this.#link, arena, bytes, start, end);
    else writePlain(this.#bench.cork, this.#link, arena, bytes, start, end);
    return this.#link.backlog < HIGH_WATER;
  }

  end(trailers: Trailers): void {
    if (this.#over) return;
    if (this.#tunnel) {
      this.#link.finish();
      return;
    }
    if (this.#requestDone) return;
    this.#requestDone = true;
    if (this.#framing === Framing.chunked) writeLastChunk(this.#bench.cork, this.#link, trailers);
    if (this.#responseDone) this.#settle();
  }

  abort(): void {
    if (this.#over) return;
    this.#user = null;
    this.#over = true;
    this.#link.abort();
    this.#home.onGone(this);
  }

  pauseResponse(): void {
    this.#link.pause();
  }

  resumeResponse(): void {
    if (!this.#over) this.#link.resume();
  }

  // === LinkOwner ===

  onBytes(_link: Link, arena: Arena, start: number, end: number): void {
    if (this.#user === null && this.#responseDone) {
      this.abort();
      return;
    }
    this.#arena = arena;
    const at = this.#receiver.receive(arena.bytes, start, end);
    this.#arena = null;
    if (this.#over) return;
    if (at < end) this.#reusable = false;
    if (this.#responseDone) this.#settle();
  }

  onFin(): void {
    if (this.#over) return;
    if (this.#tunnel) {
      this.#tunnel = false;
      const user = this.#user;
      this.#user = null;
      user?.onResponseEnd(null);
      this.close();
      return;
    }
    this.#reusable = false;
    if (this.#responseDone) {
      this.close();
      return;
    }
    if (this.#receiver.isIdle) this.#fail('closed', 'upstream closed the connection');
    else this.#receiver.end();
    if (!this.#over && this.#responseDone) this.#settle();
  }

  onBroken(_link: Link, cause: string): void {
    if (this.#user === null) this.abort();
    else this.#fail('reset', cause);
  }

  onDrained(): void {
    this.#user?.onRequestRoom();
  }

  // === Http1Handler ===

  onHead(head: Http1Head): void {
    const user = this.#user;
    if (user === null) return;
    this.#begun = true;
    const { status } = head;
    if (status === 101 || (status < 300 && status >= 200 && this.#receiver.isTunnel)) {
      if (status === 101 && !this.#upgrading) {
        this.#fail('protocol', 'upstream switches to a protocol that nobody asked for');
        return;
      }
      this.#tunnel = true;
      this.#reusable = false;
      this.#framing = Framing.none;
      this.#requestDone = true;
      user.onUpgrade(this.#head);
    } else if (status < 200) user.onInterim(this.#head);
    else {
      if (head.close || head.minor === 0) this.#reusable = false;
      user.onResponse(this.#head, this.#receiver.isOver);
    }
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#user?.onResponseBody(this.#arena, bytes, start, end);
  }

  onEnd(trailers: Http1Head | null): void {
    this.#responseDone = true;
    const user = this.#user;
    this.#user = null;
    user?.onResponseEnd(trailers);
  }

  onError(code: number): void {
    this.#fail('protocol', http1Reason(code));
  }

  // === inside ===

  /** Both directions may be over: back home, or away. */
  #settle(): void {
    if (this.#over) return;
    if (!this.#requestDone || !this.#reusable) {
      this.close();
      return;
    }
    this.idleSince = this.#bench.loop.now;
    // The last answer may have come faster than it was taken; the next is not to wait for that.
    if (this.#link.paused) this.#link.resume();
    this.#home.onIdle(this);
  }

  #fail(kind: FailureKind, cause: string): void {
    const user = this.#user;
    this.abort();
    user?.onFailure(kind, cause, this.requests > 1 && !this.#begun);
  }
}

/** Whether the request asks for another protocol by Upgrade (RFC 9110 section 7.8). */
export function isUpgrade(head: MessageHead): boolean {
  return head.h1?.upgrade === true && head.h1.connectionOptions().includes('upgrade');
}
