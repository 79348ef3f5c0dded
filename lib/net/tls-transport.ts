// SPDX-License-Identifier: Apache-2.0
// TLS on a TCP socket. Ciphertext is read from the socket straight into TLS's ring and written from it: this shell only says when.
//
//   connecting ──▶ handshaking ──▶ open ──▶ finishing ──▶ closed
//
// Rules of trap 17: "readable" is cleared by EAGAIN alone or by a short read while the peer has not announced its end; every call
// into TLS may produce output, so each batch ends with a drain; a turn reads a bounded amount and asks for another go.

import type { Arena } from '#lib/linux/arena.ts';
import { readForeign, sendForeign, shutdownWrite } from '#lib/linux/calls.ts';
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from '#lib/linux/constants.ts';
import { EAGAIN, EINTR, errnoName } from '#lib/linux/errno.ts';
import { resetOnClose, socketError } from '#lib/linux/socket.ts';
import type { Flushable, Pollable, Resumable, Slot } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { TlsContext } from '#lib/tls/context.ts';
import { TLS_ENDED, TLS_FAILED, TlsSession } from '#lib/tls/session.ts';
import type { Transport, TransportOwner } from './transport.ts';
import type { Workbench } from './workbench.ts';

/** Ciphertext one connection may bring in a turn before its neighbours are looked at. */
const TURN_BYTES = 512 * 1024;
/** A piece of plaintext that took longer is followed by a smaller one, in the next turn: streams can be opened in 20 bytes each. */
const SLOW_MS = 1;
const LEAST_BITE = 2048;
/** Of so many smaller pieces one is timed, for all of them. */
const SMALL_PIECES = 16;
/** Ciphertext read at a time; see workbench.ts. */
const READ_BYTES = 256 * 1024;
/** Until TCP and TLS must both be there. */
export const SETUP_MS = 10_000;
/** How long the other end may take to close after we have said that nothing follows, and what it may send until then. */
const FINISH_MS = 1000;
const FINISH_BYTES = 1024 * 1024;

type State = 'connecting' | 'handshaking' | 'open' | 'finishing' | 'closed';

export class TlsTransport implements Transport, Pollable, Resumable, Flushable, TimerTarget {
  resumeQueued = false;
  flushQueued = false;
  state: State;
  readonly #bench: Workbench;
  readonly #owner: TransportOwner;
  readonly #tls: TlsSession;
  readonly #server: boolean;
  readonly #slot: Slot;
  readonly #fd: number;
  #readable = false;
  #writable = false;
  #ending = false;
  #eof = false;
  #shut = false;
  /** Bytes of the handshake wait for their turn. */
  #heard = false;
  #discarded = 0;
  /** Plaintext taken at a time: less where little of it makes much work. */
  #bite: number;
  /** Small pieces since one was timed. */
  #small = 0;
  /** The owner found no room and waits. */
  #starved = false;
  #timer: TimerId;

  /** `fd` is connected, or connecting for the client's role; the transport owns it from now on. */
  constructor(bench: Workbench, fd: number, context: TlsContext, role: 'client' | 'server', owner: TransportOwner) {
    this.#bench = bench;
    this.#owner = owner;
    this.#fd = fd;
    this.#tls = new TlsSession(context, role);
    this.#server = role === 'server';
    this.#bite = bench.receive.size;
    this.state = role === 'client' ? 'connecting' : 'handshaking';
    this.#slot = bench.loop.add(fd, this);
    this.#timer = bench.loop.after(SETUP_MS, this);
  }

  get fd(): number {
    return this.#fd;
  }

  // === what the loop says ===

  onReady(events: number): void {
    if (this.state === 'closed') return;
    if ((events & EPOLLOUT) !== 0) {
      this.#writable = true;
      if (this.state === 'connecting') this.#connected();
      else this.#wrote();
    }
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) !== 0) this.#ending = this.#readable = true;
    if ((events & EPOLLIN) !== 0) this.#readable = true;
    if ((events & EPOLLERR) !== 0 && this.state === 'connecting') this.#connected();
    if (!this.#readable || (this.state as State) === 'connecting') return;
    // Handshakes have their turn after all that is open, and in the order in which they came.
    if (this.state === 'handshaking' && this.#server) this.#bench.loop.again(this);
    else this.#pump();
  }

  resume(): void {
    if (this.state !== 'closed') this.#pump();
  }

  flush(): void {
    if (this.state !== 'closed') this.drain();
  }

  onTimer(): void {
    this.#timer = 0;
    if (this.state === 'finishing') this.#close();
    else if (this.state === 'connecting') {
      this.#fail('connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008');
    } else this.#fail('TLS handshake timed out');
  }

  // === Transport ===

  room(): number {
    const room = this.state === 'open' ? this.#tls.writeRoom() : 0;
    this.#starved = true;
    return room;
  }

  write(arena: Arena, length: number): boolean {
    if (this.state !== 'open') return false;
    this.#starved = false;
    if (this.#tls.write(arena.pointer, length) === length) return true;
    this.#fail(this.#tls.failure === '' ? 'TLS took less than it had room for' : this.#tls.failure);
    return false;
  }

  drain(): boolean {
    const tls = this.#tls;
    while (this.#writable) {
      const pending = tls.outboundPending();
      if (pending === 0) return true;
      const n = sendForeign(this.#fd, tls.outboundPointer, pending);
      if (n >= 0) {
        tls.sent(n);
        if (n < pending) this.#writable = false;
      } else if (n === -EAGAIN) this.#writable = false;
      else if (n !== -EINTR) {
        this.#writable = false;
        this.#fail(`connection failed: ${errnoName(n)}`);
        return false;
      }
    }
    return tls.outboundPending() === 0;
  }

  shrink(): void {
    if (this.state === 'open') this.#tls.shrinkIfIdle();
  }

  finish(): void {
    if (this.state === 'closed' || this.state === 'finishing') return;
    if (this.state !== 'open') {
      this.#close();
      return;
    }
    this.#tls.closeNotify();
    this.state = 'finishing';
    this.#disarm();
    this.#timer = this.#bench.loop.after(FINISH_MS, this);
    if (this.drain()) this.#shutdown();
    if ((this.state as State) === 'finishing') this.#discard();
  }

  abort(): void {
    if (this.state === 'closed') return;
    resetOnClose(this.#fd);
    this.#close();
  }

  // === inside ===

  #connected(): void {
    const errno = socketError(this.#fd);
    if (errno !== 0) {
      this.#fail(`connection failed: ${errnoName(errno)}`);
      return;
    }
    this.state = 'handshaking';
    this.#tls.handshake();
    this.drain();
  }

  #wrote(): void {
    if (!this.drain()) return;
    if (this.state === 'finishing') {
      this.#shutdown();
      return;
    }
    if (this.#tls.wantsRoom || this.#readable) this.#pump();
    if (this.#starved && this.state === 'open') {
      this.#starved = false;
      this.#owner.onRoom();
    }
  }

  /** A step of the handshake costs much more than what makes us take it; who only left costs nothing. */
  #mayShakeHands(got: number): boolean {
    this.#heard ||= got > 0;
    if (!this.#heard) return true;
    if (!this.#bench.handshakes.take()) {
      this.#bench.loop.again(this);
      return false;
    }
    this.#heard = false;
    return true;
  }

  /** Once: each shutdown(2) wakes whoever polls the socket, and that would be us again. */
  #shutdown(): void {
    if (this.#shut) return;
    this.#shut = true;
    shutdownWrite(this.#fd);
  }

  #pump(): void {
    if (this.state === 'finishing') {
      this.#discard();
      return;
    }
    let budget = TURN_BYTES;
    for (;;) {
      const got = this.#readable && !this.#eof ? this.#readSocket() : 0;
      if (this.state === 'handshaking' && this.#server && !this.#mayShakeHands(got)) return;
      budget -= got;
      const moved = this.state === 'handshaking' ? this.#handshake() : this.#decrypt();
      if ((this.state as State) === 'closed' || (this.state as State) === 'finishing') return;
      // Put off by #hand.
      if (this.resumeQueued || (got === 0 && !moved)) break;
      if (budget <= 0) {
        this.#bench.loop.again(this);
        break;
      }
    }
    this.#bench.loop.markDirty(this);
  }

  /** One read of the socket into the ring; the bytes, or 0. */
  #readSocket(): number {
    const tls = this.#tls;
    const room = Math.min(tls.inboundRoom(), READ_BYTES);
    if (room === 0) return 0;
    for (;;) {
      const n = readForeign(this.#fd, tls.inboundPointer, room);
      if (n > 0) {
        if (n < room && !this.#ending) this.#readable = false;
        tls.received(n);
        return n;
      }
      if (n === -EINTR) continue;
      this.#readable = false;
      if (n === -EAGAIN) return 0;
      this.#eof = true;
      if (n === 0) tls.eof();
      else this.#fail(`connection failed: ${errnoName(n)}`);
      return 0;
    }
  }

  /** True when the handshake is over and decryption may go on. */
  #handshake(): boolean {
    const step = this.#tls.handshake();
    if (step === 'more') {
      if (this.#eof) this.#fail('connection closed during the TLS handshake');
      return false;
    }
    if (step === 'failed') {
      this.#fail(`TLS handshake failed: ${this.#tls.failure}`);
      return false;
    }
    const peer = this.#tls.peer();
    if (!peer.ok) {
      this.#fail(`TLS peer refused: ${peer.problems[0]?.message ?? 'no reason'}`);
      return false;
    }
    this.state = 'open';
    this.#disarm();
    const refusal = this.#owner.onOpen(peer.value);
    if (refusal !== '') this.#fail(refusal);
    return refusal === '';
  }

  /** True when plaintext was delivered. */
  #decrypt(): boolean {
    if (this.state !== 'open') return false;
    const arena = this.#bench.receive;
    let moved = false;
    for (;;) {
      const bite = this.#bite;
      const n = this.#tls.read(arena.pointer, bite);
      if (n > 0) {
        moved = true;
        if (!this.#hand(arena, n)) return false;
        if (this.state !== 'open') return false;
        if (n < bite) continue;
        return true;
      }
      if (n === TLS_ENDED) this.#ended();
      else if (n === TLS_FAILED) this.#fail(this.#tls.failure);
      return moved;
    }
  }

  /** False when it took so long that the rest waits for the next turn. */
  #hand(arena: Arena, n: number): boolean {
    // Pieces below what is cut smaller are looked at together.
    this.#small = n < LEAST_BITE ? this.#small + 1 : SMALL_PIECES;
    if (this.#small < SMALL_PIECES) {
      this.#owner.onPlaintext(arena.bytes, 0, n);
      return true;
    }
    this.#small = 0;
    const began = performance.now();
    this.#owner.onPlaintext(arena.bytes, 0, n);
    const took = performance.now() - began;
    const slow = took * (n < LEAST_BITE ? SMALL_PIECES : 1) > SLOW_MS;
    if (!slow) {
      if (this.#bite < arena.size) this.#bite = Math.min(arena.size, this.#bite * 2);
      return true;
    }
    if (n >= LEAST_BITE) this.#bite = Math.max(LEAST_BITE, n >> 2);
    this.#bench.loop.again(this);
    return false;
  }

  #ended(): void {
    const clean = !this.#tls.truncated;
    const state = this.state;
    this.#close();
    if (state === 'open')
      this.#owner.onTransportEnd(clean ? 'closed by peer' : 'connection ended without notice', clean);
  }

  /** What still comes while we wait for the peer's end is read and thrown away, so that closing is no reset (trap 12). */
  #discard(): void {
    const { receive } = this.#bench;
    for (let k = 0; k < 4 && this.#readable; k++) {
      const n = readForeign(this.#fd, receive.pointer, receive.size);
      if (n === -EINTR) continue;
      if (n > 0) {
        this.#discarded += n;
        if (this.#discarded <= FINISH_BYTES) continue;
        this.abort();
        return;
      }
      this.#readable = false;
      if (n !== -EAGAIN) this.#close();
      return;
    }
    if (this.#readable) this.#bench.loop.again(this);
  }

  #fail(cause: string): void {
    if (this.state === 'closed') return;
    // The alert that says why is worth one attempt.
    const state = this.state;
    this.state = 'finishing';
    if (this.#writable) this.drain();
    this.#close();
    if (state !== 'finishing') this.#owner.onTransportEnd(cause, false);
  }

  #disarm(): void {
    if (this.#timer !== 0) this.#bench.loop.cancel(this.#timer);
    this.#timer = 0;
  }

  #close(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.#disarm();
    this.#bench.loop.remove(this.#slot);
    this.#tls.dispose();
  }
}
