// SPDX-License-Identifier: Apache-2.0
// One non-blocking stream socket on the loop, with what edge-triggered epoll has said about it so far.
//
// Edges come once, so what they said is kept here until the kernel itself takes it back with EAGAIN (trap 17). A short read
// means drained; after the peer's FIN was announced it means the end as well, which takeEnd() tells without another call, unless an
// error came or urgent data, at whose mark a read stops (tcp(7)): then only read() returning 0 is the end. Closing twice is
// harmless; the loop closes descriptors at the end of the turn, so a number is never reused under a batch of events (trap 2).

import type { Arena } from '#lib/linux/arena.ts';
import { read, recv, send, shutdownWrite } from '#lib/linux/calls.ts';
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDHUP,
  MSG_MORE,
  MSG_TRUNC,
} from '#lib/linux/constants.ts';
import { EAGAIN, EINTR } from '#lib/linux/errno.ts';
import { resetOnClose, socketError } from '#lib/linux/socket.ts';
import type { Loop, Pollable, Slot } from '#lib/loop/loop.ts';

const ENDING = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
const UNSURE = EPOLLERR | EPOLLPRI;

export interface SocketOwner {
  /** Something new was said about the socket; look at its fields. Never called after `close` or `abort`. */
  onSocket(socket: Socket): void;
}

/** Results of `receive` that are not a byte count. */
export const NOTHING_YET = -1;
export const BROKEN = -2;

export class Socket implements Pollable {
  readonly fd: number;
  /** Who is told; may be replaced at any time. */
  owner: SocketOwner;
  /** A read may return something. Cleared by EAGAIN, or by a short read while `ending` is false. */
  readable = false;
  /** A send may take something. Cleared by EAGAIN or a short send. */
  writable = false;
  /** The peer's end (FIN or reset) was announced: read until 0 or an error. */
  ending = false;
  closed = false;
  /** The errno of what broke it, 0 while nothing has. */
  errno = 0;
  /** An error or urgent data was announced. */
  #unsure = false;
  /** The last read left nothing before the peer's FIN. */
  #drained = false;
  readonly #loop: Loop;
  readonly #slot: Slot;

  constructor(loop: Loop, fd: number, owner: SocketOwner) {
    this.fd = fd;
    this.owner = owner;
    this.#loop = loop;
    this.#slot = loop.add(fd, this);
  }

  onReady(events: number): void {
    if (this.closed) return;
    if ((events & ENDING) !== 0) this.ending = this.readable = true;
    if ((events & EPOLLIN) !== 0) this.readable = true;
    if ((events & UNSURE) !== 0) this.#unsure = true;
    if ((events & (EPOLLOUT | EPOLLERR)) !== 0) this.writable = true;
    this.owner.onSocket(this);
  }

  /** Up to `length` bytes: their count, 0 at the peer's end, NOTHING_YET, or BROKEN with `errno` set. */
  receive(arena: Arena, offset: number, length: number): number {
    for (;;) {
      const n = read(this.fd, arena, offset, length);
      if (n !== -EINTR) return this.#received(n, length);
    }
  }

  /** Throws away what came, without copying it: how much, or as `receive`. `scratch` is as much as it may be at a time. */
  discard(scratch: Arena): number {
    for (;;) {
      const n = recv(this.fd, scratch, 0, scratch.size, MSG_TRUNC);
      if (n !== -EINTR) return this.#received(n, scratch.size);
    }
  }

  /** Whether what was received last is followed by the peer's FIN and nothing else; then there is nothing more to receive. */
  takeEnd(): boolean {
    if (this.#drained) this.readable = false;
    return this.#drained;
  }

  /**
   * Sends what the socket takes: the count, which may be short or 0, or BROKEN with `errno` set. `more`: finish() follows at once when
   * everything was taken, so the last bytes wait for its FIN.
   */
  send(arena: Arena, offset: number, length: number, more = false): number {
    for (;;) {
      const n = send(this.fd, arena, offset, length, more ? MSG_MORE : 0);
      if (n >= 0) {
        if (n < length) this.writable = false;
        return n;
      }
      if (n === -EINTR) continue;
      this.writable = false;
      if (n === -EAGAIN) return 0;
      this.errno = -n;
      return BROKEN;
    }
  }

  /** Whether the kernel holds an error for it, without reading; then `errno` is set. For sockets that must not be read now. */
  broken(): boolean {
    if (!this.#unsure) return false;
    this.errno = socketError(this.fd);
    return this.errno !== 0;
  }

  /** FIN: the peer reads to the end, what it says is still read. */
  finish(): void {
    if (!this.closed) shutdownWrite(this.fd);
  }

  /** The normal end, with nothing left unread: otherwise the kernel makes it a reset (trap 12). */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#loop.remove(this.#slot);
  }

  /** RST: whatever was sent last must not be taken for a whole answer. */
  abort(): void {
    if (this.closed) return;
    resetOnClose(this.fd);
    this.close();
  }

  /** What a read that asked for `length` says of the socket. */
  #received(n: number, length: number): number {
    if (n > 0) {
      if (n < length) {
        if (!this.ending) this.readable = false;
        else this.#drained = !this.#unsure;
      }
      return n;
    }
    this.readable = false;
    if (n === 0) return 0;
    if (n === -EAGAIN) return NOTHING_YET;
    this.errno = -n;
    return BROKEN;
  }
}
