// SPDX-License-Identifier: Apache-2.0
// TLS on a TCP socket: says when its socket is read and written, and what state the connection is in.
//
//   connecting ──▶ handshaking ──▶ open ──▶ finishing ──▶ closed
//
// Rules of trap 17: every call into TLS may produce output, so each batch ends with a drain; input is looked at when the
// connection's turn comes, for a share of time, and what was decrypted and not looked at by then is kept (input-turns.ts).

import type { Arena } from '#lib/linux/arena.ts';
import { EPOLLERR, EPOLLOUT } from '#lib/linux/constants.ts';
import { errnoName } from '#lib/linux/errno.ts';
import { resetOnClose, socketError } from '#lib/linux/socket.ts';
import type { Flushable, Pollable, Slot } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { TlsContext } from '#lib/tls/context.ts';
import { TLS_ENDED, TLS_FAILED, TlsSession } from '#lib/tls/session.ts';
import { CipherSocket } from './cipher-socket.ts';
import { type InputOwner, InputPlace, STRANGER_US } from './input-turns.ts';
import { Leftover } from './leftover.ts';
import type { Transport, TransportOwner } from './transport.ts';
import type { Workbench } from './workbench.ts';

/** Ciphertext one connection may bring in a share before its neighbours are looked at. */
const SHARE_BYTES = 512 * 1024;
/** Plaintext decrypted at a time after a share was over with some left: less of it has to be kept. */
const LEAST_BITE = 16 * 1024;
/** Until TCP and TLS must both be there. */
export const SETUP_MS = 10_000;
/** How long the other end may take to close after we have said that nothing follows. */
const FINISH_MS = 1000;

type State = 'connecting' | 'handshaking' | 'open' | 'finishing' | 'closed';

export class TlsTransport implements Transport, Pollable, InputOwner, Flushable, TimerTarget {
  flushQueued = false;
  state: State;
  readonly #bench: Workbench;
  readonly #owner: TransportOwner;
  readonly #tls: TlsSession;
  readonly #place: InputPlace;
  readonly #slot: Slot;
  readonly #socket: CipherSocket;
  /** Plaintext decrypted at a time: less where little of it makes much work. */
  #bite: number;
  /** Plaintext for the next turn. */
  #leftover: Leftover | null = null;
  /** The owner found no room and waits. */
  #starved = false;
  #timer: TimerId;

  /** `fd` is connected, or connecting for the client's role; the transport owns it from now on. */
  constructor(bench: Workbench, fd: number, context: TlsContext, role: 'client' | 'server', owner: TransportOwner) {
    this.#bench = bench;
    this.#owner = owner;
    this.#socket = new CipherSocket(fd);
    this.#tls = new TlsSession(context, role);
    this.#place = new InputPlace(this, bench.loop.began, role === 'server' ? STRANGER_US : 0);
    this.#bite = bench.receive.size;
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
    if (socket.readable && (this.state as State) !== 'connecting') this.#bench.inputs.push(this.#place);
  }

  onInputTurn(): boolean {
    if (this.state === 'closed') return false;
    return this.state === 'finishing' ? this.#discard() : this.#pump();
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
    this.#leftover = null;
    if (this.drain()) this.#socket.finish();
    if ((this.state as State) === 'finishing') this.#bench.inputs.push(this.#place);
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
    if (this.#tls.wantsRoom || this.#socket.readable) this.#bench.inputs.push(this.#place);
    if (this.#starved && this.state === 'open') {
      this.#starved = false;
      this.#owner.onRoom();
    }
  }

  /** True when there may be more for another share. */
  #pump(): boolean {
    const { inputs } = this.#bench;
    const socket = this.#socket;
    let budget = SHARE_BYTES;
    let more = this.#leftover !== null && !this.#handLeftover(this.#leftover);
    while (!more) {
      const got = socket.readable && !socket.eof ? socket.receive(this.#tls) : 0;
      if (got < 0) {
        this.#fail(`connection failed: ${errnoName(got)}`);
        return false;
      }
      budget -= got;
      const moved = this.state === 'handshaking' ? this.#handshake() : this.#decrypt();
      if (this.state === 'closed' || this.state === 'finishing') return this.state === 'finishing' && socket.readable;
      if (got === 0 && !moved) break;
      more = this.#leftover !== null || budget <= 0 || inputs.over();
    }
    if (this.state === 'closed') return false;
    this.#bench.loop.markDirty(this);
    return more;
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
    const { receive } = this.#bench;
    let moved = false;
    for (;;) {
      const bite = this.#bite;
      const n = this.#tls.read(receive.pointer, bite);
      if (n > 0) {
        moved = true;
        const taken = this.#hand(n);
        if (this.state !== 'open') return false;
        if (taken < n) {
          this.#bite = LEAST_BITE;
          this.#leftover = new Leftover(receive.bytes, taken, n);
          return true;
        }
        if (n < bite) continue;
        this.#bite = Math.min(receive.size, bite * 2);
        return true;
      }
      if (n === TLS_ENDED) this.#ended();
      else if (n === TLS_FAILED) this.#fail(this.#tls.failure);
      return moved;
    }
  }

  /** Hands over the first `n` bytes of the receive arena; how many were taken before the share was over. */
  #hand(n: number): number {
    const { inputs, receive } = this.#bench;
    let at = 0;
    do at = this.#owner.onPlaintext(receive.bytes, at, n);
    while (at < n && this.state === 'open' && !inputs.over());
    return at;
  }

  /** True when nothing is left of it. */
  #handLeftover(leftover: Leftover): boolean {
    while (this.state === 'open' && leftover.bytes > 0) {
      leftover.taken(this.#hand(leftover.peek(this.#bench.receive)));
      if (leftover.bytes > 0 && this.#bench.inputs.over()) return false;
    }
    this.#leftover = null;
    return true;
  }

  #ended(): void {
    const clean = !this.#tls.truncated;
    const state = this.state;
    this.#close();
    if (state === 'open')
      this.#owner.onTransportEnd(clean ? 'closed by peer' : 'connection ended without notice', clean);
  }

  /** True when there is more to be thrown away. */
  #discard(): boolean {
    const found = this.#socket.discard(this.#bench.receive);
    if (found === 'end') this.#close();
    else if (found === 'tooMuch') this.abort();
    return found === 'more';
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
    this.#leftover = null;
    this.#disarm();
    this.#bench.loop.remove(this.#slot);
    this.#tls.dispose();
  }
}
