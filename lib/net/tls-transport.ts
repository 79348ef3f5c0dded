// SPDX-License-Identifier: Apache-2.0
// TLS on a TCP socket: says when its socket is read and written, and what state the connection is in.
//
//   connecting ──▶ handshaking ──▶ open ──▶ finishing ──▶ closed
//
// Rules of trap 17: every call into TLS may produce output, so each batch ends with a drain; a turn reads a bounded amount and
// asks for another go.

import type { Arena } from '#lib/linux/arena.ts';
import { EPOLLERR, EPOLLOUT } from '#lib/linux/constants.ts';
import { errnoName } from '#lib/linux/errno.ts';
import { resetOnClose, socketError } from '#lib/linux/socket.ts';
import type { Flushable, Pollable, Resumable, Slot } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { TlsContext } from '#lib/tls/context.ts';
import { TLS_ENDED, TLS_FAILED, TlsSession } from '#lib/tls/session.ts';
import { CipherSocket } from './cipher-socket.ts';
import { PlaintextBite } from './plaintext-bite.ts';
import type { Transport, TransportOwner } from './transport.ts';
import type { Workbench } from './workbench.ts';

/** Ciphertext one connection may bring in a turn before its neighbours are looked at. */
const TURN_BYTES = 512 * 1024;
/** Until TCP and TLS must both be there. */
export const SETUP_MS = 10_000;
/** How long the other end may take to close after we have said that nothing follows. */
const FINISH_MS = 1000;

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
  readonly #socket: CipherSocket;
  readonly #bite: PlaintextBite;
  /** Bytes of the handshake wait for their turn. */
  #heard = false;
  /** The owner found no room and waits. */
  #starved = false;
  #timer: TimerId;

  /** `fd` is connected, or connecting for the client's role; the transport owns it from now on. */
  constructor(bench: Workbench, fd: number, context: TlsContext, role: 'client' | 'server', owner: TransportOwner) {
    this.#bench = bench;
    this.#owner = owner;
    this.#socket = new CipherSocket(fd);
    this.#tls = new TlsSession(context, role);
    this.#server = role === 'server';
    this.#bite = new PlaintextBite(bench.receive.size);
    this.state = role === 'client' ? 'connecting' : 'handshaking';
    this.#slot = bench.loop.add(fd, this);
    this.#timer = bench.loop.after(SETUP_MS, this);
  }

  get fd(): number {
    return this.#socket.fd;
  }

  // === what the loop says ===

  onReady(events: number): void {
    if (this.state === 'closed') return;
    const socket = this.#socket;
    if ((events & EPOLLOUT) !== 0) {
      socket.writable = true;
      if (this.state === 'connecting') this.#connected();
      else this.#wrote();
    }
    socket.note(events);
    if ((events & EPOLLERR) !== 0 && this.state === 'connecting') this.#connected();
    if (!socket.readable || (this.state as State) === 'connecting') return;
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
    const left = this.#socket.send(this.#tls);
    if (left < 0) this.#fail(`connection failed: ${errnoName(left)}`);
    return left === 0;
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
    if (this.drain()) this.#socket.finish();
    if ((this.state as State) === 'finishing') this.#discard();
  }

  abort(): void {
    if (this.state === 'closed') return;
    resetOnClose(this.fd);
    this.#close();
  }

  // === inside ===

  #connected(): void {
    const errno = socketError(this.fd);
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
      this.#socket.finish();
      return;
    }
    if (this.#tls.wantsRoom || this.#socket.readable) this.#pump();
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

  #pump(): void {
    if (this.state === 'finishing') {
      this.#discard();
      return;
    }
    const socket = this.#socket;
    let budget = TURN_BYTES;
    for (;;) {
      const got = socket.readable && !socket.eof ? socket.receive(this.#tls) : 0;
      if (got < 0) {
        this.#fail(`connection failed: ${errnoName(got)}`);
        return;
      }
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

  /** True when the handshake is over and decryption may go on. */
  #handshake(): boolean {
    const step = this.#tls.handshake();
    if (step === 'more') {
      if (this.#socket.eof) this.#fail('connection closed during the TLS handshake');
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
      const bite = this.#bite.bytes;
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
    const bite = this.#bite;
    if (!bite.timed(n)) {
      this.#owner.onPlaintext(arena.bytes, 0, n);
      return true;
    }
    const began = performance.now();
    this.#owner.onPlaintext(arena.bytes, 0, n);
    if (bite.took(n, performance.now() - began)) return true;
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

  #discard(): void {
    switch (this.#socket.discard(this.#bench.receive)) {
      case 'more':
        this.#bench.loop.again(this);
        break;
      case 'end':
        this.#close();
        break;
      case 'tooMuch':
        this.abort();
        break;
      case 'yet':
        break;
    }
  }

  #fail(cause: string): void {
    if (this.state === 'closed') return;
    // The alert that says why is worth one attempt.
    const state = this.state;
    this.state = 'finishing';
    if (this.#socket.writable) this.drain();
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
