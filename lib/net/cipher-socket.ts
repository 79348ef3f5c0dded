// SPDX-License-Identifier: Apache-2.0
// The TCP socket below a TLS session: ciphertext goes from it straight into TLS's ring and out of the ring, never through memory of ours.
//
// It keeps what edge-triggered epoll has said (trap 17): "readable" is cleared by EAGAIN alone, or by a short read while the
// peer has not announced its end.

import type { Arena } from '#lib/linux/arena.ts';
import { readForeign, recv, sendForeign, shutdownWrite } from '#lib/linux/calls.ts';
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLRDHUP, MSG_TRUNC } from '#lib/linux/constants.ts';
import { EAGAIN, EINTR } from '#lib/linux/errno.ts';
import type { TlsSession } from '#lib/tls/session.ts';

/** Ciphertext read at a time; see workbench.ts. */
const READ_BYTES = 256 * 1024;
/** Reads of a turn that throw away what they bring. */
const DISCARDS = 4;
/** What the other end may send after we have said that nothing follows. */
const FINISH_BYTES = 1024 * 1024;

const ENDING = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/** What came of throwing away the rest: `more` lies there, none is there `yet`, the peer's `end`, or `tooMuch` of it. */
export type Discarded = 'more' | 'yet' | 'end' | 'tooMuch';

export class CipherSocket {
  readonly fd: number;
  /** A read may return something. */
  readable = false;
  /** A send may take something. */
  writable = false;
  /** The peer's end was read: TLS has been told. */
  eof = false;
  /** The peer's end was announced. */
  #ending = false;
  #shut = false;
  #discarded = 0;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** What epoll says of its receiving side. */
  note(events: number): void {
    if ((events & ENDING) !== 0) this.#ending = this.readable = true;
    if ((events & EPOLLIN) !== 0) this.readable = true;
  }

  /** One read into the ring of `tls`: the bytes, 0 for none or the end, or a negative errno. */
  receive(tls: TlsSession): number {
    const room = Math.min(tls.inboundRoom(), READ_BYTES);
    if (room === 0) return 0;
    for (;;) {
      const n = readForeign(this.fd, tls.inboundPointer, room);
      if (n > 0) {
        if (n < room && !this.#ending) this.readable = false;
        tls.received(n);
        return n;
      }
      if (n === -EINTR) continue;
      this.readable = false;
      if (n === -EAGAIN) return 0;
      this.eof = true;
      if (n === 0) tls.eof();
      return n;
    }
  }

  /** Sends what the ring of `tls` holds while the socket takes it: the bytes that are left, or a negative errno. */
  send(tls: TlsSession): number {
    let pending = tls.outboundPending();
    while (pending > 0 && this.writable) {
      const n = sendForeign(this.fd, tls.outboundPointer, pending);
      if (n >= 0) {
        tls.sent(n);
        if (n < pending) this.writable = false;
      } else if (n === -EAGAIN) this.writable = false;
      else if (n !== -EINTR) {
        this.writable = false;
        return n;
      }
      pending = tls.outboundPending();
    }
    return pending;
  }

  /** FIN. Once: each shutdown(2) wakes whoever polls the socket, and that would be us again. */
  finish(): void {
    if (this.#shut) return;
    this.#shut = true;
    shutdownWrite(this.fd);
  }

  /** Throws away what still comes while we wait for the peer's end, so that closing is no reset (trap 12). */
  discard(scratch: Arena): Discarded {
    for (let k = 0; k < DISCARDS && this.readable; k++) {
      const n = recv(this.fd, scratch, 0, scratch.size, MSG_TRUNC);
      if (n === -EINTR) continue;
      if (n > 0) {
        this.#discarded += n;
        if (this.#discarded > FINISH_BYTES) return 'tooMuch';
        continue;
      }
      this.readable = false;
      if (n !== -EAGAIN) return 'end';
    }
    return this.readable ? 'more' : 'yet';
  }
}
