// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 read along: requests wait in order for the answers that come in the same order (RFC 9112 section 9.3).
import type { HeadLimits, Http1Head } from '../http1/head.ts';
import { type Http1Handler, Http1Receiver } from '../http1/receiver.ts';
import type { GaveUp, HttpListener, VersionWatch } from './outcome.ts';

/** A longer head is held by nobody. */
const LIMITS: HeadLimits = Object.freeze({ maxFields: 128, maxBytes: 16_384 });
/** Requests sent ahead of their answers. */
const MAX_WAITING = 64;
const SWITCHING = 101;

interface Waiting {
  readonly method: string;
  readonly startedAt: number;
}

/** The side that asks. */
class Requests implements Http1Handler {
  readonly receiver = new Http1Receiver(true, this, LIMITS);
  readonly #watch: Http1Watch;

  constructor(watch: Http1Watch) {
    this.#watch = watch;
  }

  onHead(head: Http1Head): void {
    this.#watch.onRequest(head);
  }

  onBody(): void {}

  onEnd(): void {}

  onError(): void {
    this.#watch.giveUp('unreadable');
  }
}

export class Http1Watch implements VersionWatch, Http1Handler {
  readonly #listener: HttpListener;
  readonly #now: () => number;
  readonly #requests = new Requests(this);
  readonly #responses = new Http1Receiver(false, this, LIMITS);
  readonly #waiting: Waiting[] = [];
  #startedAt = 0;
  /** Of the answer at hand; 0 before its head. */
  #status = 0;
  #ending = false;
  #over = false;

  constructor(listener: HttpListener, now: () => number) {
    this.#listener = listener;
    this.#now = now;
  }

  request(buffer: Buffer, start: number, end: number): void {
    const { receiver } = this.#requests;
    for (let at = start; at < end && !this.#over; ) {
      receiver.next();
      if (receiver.isIdle) this.#startedAt = this.#now();
      at = receiver.receive(buffer, at, end);
    }
  }

  response(buffer: Buffer, start: number, end: number): void {
    for (let at = start; at < end && !this.#over; ) {
      const first = this.#waiting[0];
      // Such as the 408 of a server that has waited long enough.
      if (first === undefined) {
        this.giveUp('unreadable');
        return;
      }
      this.#responses.next();
      this.#responses.expect(first.method);
      at = this.#responses.receive(buffer, at, end);
    }
  }

  end(): void {
    if (this.#over) return;
    this.#ending = true;
    // An answer without a length ends with the connection; any other is cut by it, and counts as far as it came.
    this.#responses.end();
    this.#over = true;
    for (const { method, startedAt } of this.#waiting.splice(0)) {
      this.#listener.onExchange(1, method, this.#status, startedAt);
      this.#status = 0;
    }
  }

  giveUp(reason: GaveUp): void {
    if (this.#over) return;
    this.#over = true;
    this.#waiting.length = 0;
    this.#listener.onGaveUp(reason);
  }

  onRequest(head: Http1Head): void {
    if (head.isConnect) this.giveUp('upgraded');
    else if (this.#waiting.length === MAX_WAITING) this.giveUp('too_many');
    else this.#waiting.push({ method: head.method, startedAt: this.#startedAt });
  }

  // === the side that answers ===

  onHead({ status }: Http1Head): void {
    this.#status = status;
    if (status !== SWITCHING) return;
    this.#finish();
    this.giveUp('upgraded');
  }

  onBody(): void {}

  onEnd(): void {
    this.#finish();
  }

  onError(): void {
    if (!this.#ending) this.giveUp('unreadable');
  }

  #finish(): void {
    const asked = this.#waiting.shift();
    if (asked !== undefined) this.#listener.onExchange(1, asked.method, this.#status, asked.startedAt);
    this.#status = 0;
  }
}
