// SPDX-License-Identifier: Apache-2.0
// TLS on a stream of another tunnel: the inner half of a tunnel through another network's gateway. Ciphertext of the inner session is
// content of the outer stream, whose flow control bounds what waits here.
//
//   handshaking ──▶ open ──▶ finishing ──▶ closed
//
// The outer session hands over content in the receive arena, where the inner plaintext has to go as well; so content is only
// copied into TLS's ring when it comes, and decrypted in the loop's next turn, when the arena is free.

import type { Arena } from '#lib/linux/arena.ts';
import { copyFromForeign, copyToForeign } from '#lib/linux/calls.ts';
import type { Resumable } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { TlsContext } from '#lib/tls/context.ts';
import { TLS_ENDED, TLS_FAILED, TlsSession } from '#lib/tls/session.ts';
import { ErrorCode, errorName, FRAME_HEADER } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { type ByteSink, Outbox } from './outbox.ts';
import type { Sender } from './send-queue.ts';
import type { Session, StreamUser } from './session.ts';
import { SETUP_MS } from './tls-transport.ts';
import type { Transport, TransportOwner } from './transport.ts';

/** Plaintext delivered in a turn before the neighbours are looked at. */
const TURN_BYTES = 512 * 1024;
/** How long the other end may take to end the stream after we have said that nothing follows. */
const FINISH_MS = 1000;

type State = 'handshaking' | 'open' | 'finishing' | 'closed';

export class StreamTransport implements Transport, StreamUser, ByteSink, Resumable, TimerTarget {
  resumeQueued = false;
  sendQueued = false;
  nextSender: Sender | null = null;
  state: State = 'handshaking';
  readonly #outer: Session;
  readonly #stream: H2Stream;
  readonly #owner: TransportOwner;
  readonly #tls: TlsSession;
  /** Ciphertext that found no room in the ring. */
  #backlog: Outbox | null = null;
  #gotEnd = false;
  #eofPassedOn = false;
  #sentEnd = false;
  /** The owner found no room and waits. */
  #starved = false;
  #timer: TimerId;

  /** Takes over the open `stream` of `outer`. */
  constructor(outer: Session, stream: H2Stream, context: TlsContext, role: 'client' | 'server', owner: TransportOwner) {
    this.#outer = outer;
    this.#stream = stream;
    this.#owner = owner;
    this.#tls = new TlsSession(context, role);
    stream.userData = this;
    this.#timer = outer.bench.loop.after(SETUP_MS, this);
    outer.bench.loop.again(this);
  }

  // === the outer stream ===

  onHeaders(_headers: unknown, endStream: boolean): void {
    if (endStream) this.#ended();
  }

  onData(start: number, end: number, endStream: boolean): void {
    const length = end - start;
    if (this.state === 'closed' || this.state === 'finishing') {
      this.#outer.h2.consumed(this.#stream, length);
    } else if (length > 0) {
      const { receive } = this.#outer.bench;
      const taken = this.#backlog === null ? this.send(receive, start, length) : 0;
      if (taken > 0) this.#outer.h2.consumed(this.#stream, taken);
      if (taken < length && !this.#keep(receive, start + taken, length - taken)) return;
      this.#outer.bench.loop.again(this);
    }
    if (endStream) this.#ended();
  }

  onReset(code: number): void {
    this.#fail(`stream reset by peer: ${errorName(code)}`);
  }

  onTunnelLost(cause: string): void {
    this.#fail(cause);
  }

  onSendable(): void {
    this.#outer.wantsToSend(this);
  }

  fill(arena: Arena, offset: number, room: number, share: number): number {
    if (this.state === 'closed' || this.#sentEnd) return 0;
    const tls = this.#tls;
    const { h2 } = this.#outer;
    let filled = 0;
    for (let quota = h2.dataQuota(this.#stream); quota > 0; quota = h2.dataQuota(this.#stream)) {
      const pending = tls.outboundPending();
      const n = Math.min(pending, quota, share, room - filled - FRAME_HEADER);
      if (n <= 0) break;
      copyFromForeign(arena, offset + filled + FRAME_HEADER, tls.outboundPointer, n);
      tls.sent(n);
      h2.writeDataHeader(arena.bytes, offset + filled, this.#stream, n, false);
      filled += FRAME_HEADER + n;
    }
    this.#wrote(filled > 0);
    if (tls.outboundPending() > 0) {
      // Without a quota the window's opening asks for us again.
      if (filled > 0) this.#outer.wantsToSend(this);
      return filled;
    }
    if (this.state !== 'finishing' || room - filled < FRAME_HEADER) return filled;
    h2.writeDataHeader(arena.bytes, offset + filled, this.#stream, 0, true);
    this.#sentEnd = true;
    if (this.#gotEnd) this.#close();
    return filled + FRAME_HEADER;
  }

  // === Transport ===

  room(): number {
    this.#starved = true;
    return this.state === 'open' ? this.#tls.writeRoom() : 0;
  }

  write(arena: Arena, length: number): boolean {
    if (this.state !== 'open') return false;
    this.#starved = false;
    if (this.#tls.write(arena.pointer, length) === length) return true;
    this.#fail(this.#tls.failure === '' ? 'TLS took less than it had room for' : this.#tls.failure);
    return false;
  }

  drain(): boolean {
    if (this.state === 'closed' || this.#tls.outboundPending() === 0) return true;
    this.#outer.wantsToSend(this);
    return false;
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
    this.#timer = this.#outer.bench.loop.after(FINISH_MS, this);
    this.#outer.wantsToSend(this);
  }

  abort(): void {
    this.#close();
  }

  // === the loop ===

  onTimer(): void {
    this.#timer = 0;
    if (this.state === 'finishing') this.#close();
    else this.#fail('TLS handshake timed out');
  }

  resume(): void {
    let budget = TURN_BYTES;
    while (this.state === 'handshaking' || this.state === 'open') {
      const fed = this.#feed();
      const moved = this.state === 'handshaking' ? this.#handshake() : this.#decrypt();
      if (fed === 0 && moved === 0) break;
      budget -= moved;
      if (budget > 0) continue;
      this.#outer.bench.loop.again(this);
      break;
    }
    this.drain();
  }

  /** ByteSink: puts ciphertext into TLS's ring, as much as it has room for. */
  send(arena: Arena, offset: number, length: number): number {
    let done = 0;
    while (done < length) {
      const n = Math.min(this.#tls.inboundRoom(), length - done);
      if (n === 0) break;
      copyToForeign(this.#tls.inboundPointer, arena, offset + done, n);
      this.#tls.received(n);
      done += n;
    }
    return done;
  }

  // === inside ===

  #ended(): void {
    this.#gotEnd = true;
    if (this.state === 'finishing' && this.#sentEnd) this.#close();
    else this.#outer.bench.loop.again(this);
  }

  #keep(arena: Arena, offset: number, length: number): boolean {
    this.#backlog ??= new Outbox(this.#outer.bench.blocks, () => {
      this.#fail('memory for stopped readers is used up, this one held most');
    });
    return this.#backlog.append(arena, offset, length);
  }

  /** Passes on what waited; the bytes, or 1 for the stream's end. */
  #feed(): number {
    let fed = 0;
    if (this.#backlog !== null) {
      fed = this.#backlog.drain(this);
      if (fed > 0) this.#outer.h2.consumed(this.#stream, fed);
      if (this.#backlog.bytes > 0) return fed;
      this.#backlog = null;
    }
    if (!this.#gotEnd || this.#eofPassedOn) return fed;
    this.#eofPassedOn = true;
    this.#tls.eof();
    return fed + 1;
  }

  /** 1 when the handshake is over and decryption may go on. */
  #handshake(): number {
    const step = this.#tls.handshake();
    if (step === 'more') {
      if (this.#eofPassedOn) this.#fail('stream ended during the TLS handshake');
      return 0;
    }
    const peer = step === 'done' ? this.#tls.peer() : undefined;
    if (peer === undefined) this.#fail(`TLS handshake failed: ${this.#tls.failure}`);
    else if (!peer.ok) this.#fail(`TLS peer refused: ${peer.problems[0]?.message ?? 'no reason'}`);
    else {
      this.state = 'open';
      this.#disarm();
      const refusal = this.#owner.onOpen(peer.value);
      if (refusal !== '') this.#fail(refusal);
    }
    return this.state === 'open' ? 1 : 0;
  }

  /** The bytes that one read brought; 0 when there are none for now, or it is over. */
  #decrypt(): number {
    const { receive } = this.#outer.bench;
    const n = this.#tls.read(receive.pointer, receive.size);
    if (n > 0) {
      for (let at = 0; at < n && this.state === 'open'; ) at = this.#owner.onPlaintext(receive.bytes, at, n);
      return n;
    }
    if (n === TLS_ENDED) {
      const clean = !this.#tls.truncated;
      this.#close();
      this.#owner.onTransportEnd(clean ? 'closed by peer' : 'connection ended without notice', clean);
    } else if (n === TLS_FAILED) this.#fail(this.#tls.failure);
    return 0;
  }

  /** Room came back. */
  #wrote(any: boolean): void {
    if (!any) return;
    if (this.#tls.wantsRoom || this.#backlog !== null) this.#outer.bench.loop.again(this);
    if (!this.#starved || this.state !== 'open') return;
    this.#starved = false;
    this.#owner.onRoom();
  }

  /** Over without a good end; an alert that says why is not worth a round through the outer tunnel. */
  #fail(cause: string): void {
    const told = this.state === 'handshaking' || this.state === 'open';
    this.#close();
    if (told) this.#owner.onTransportEnd(cause, false);
  }

  #disarm(): void {
    if (this.#timer !== 0) this.#outer.bench.loop.cancel(this.#timer);
    this.#timer = 0;
  }

  #close(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.#disarm();
    this.#backlog?.clear();
    this.#backlog = null;
    this.#tls.dispose();
    this.#stream.userData = undefined;
    this.#outer.h2.resetStream(this.#stream, ErrorCode.cancel);
    this.#outer.streamGone();
  }
}
