// SPDX-License-Identifier: Apache-2.0
// A tunnel: one HTTP/2 connection on one transport, and the streams of many applications in it.
//
//   opening ──▶ settling ──peer's SETTINGS──▶ open ──▶ draining ──▶ closed
//      └────────────┴──────── failure ──────────┴─────────┘
//
// A client's tunnel is usable once the peer's SETTINGS have come: in TLS 1.3 the client's side of the handshake ends before the
// server has judged the client's certificate (trap 11). Events of a turn only mark what is ready; `flush`, once a turn,
// takes the engine's frames and then the ready streams' bytes into the worker's staging arena, so that a turn's frames
// become few TLS records and one write. Nothing stays in a shared arena when a method returns (trap 1). When the
// tunnel dies, each of its streams is told, and none of them may take that for its end (trap 12).

import type { Flushable } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { PeerIdentity } from '#lib/tls/peer.ts';
import { H2Connection } from '#lib/wire/h2/connection.ts';
import type { H2Handler } from '#lib/wire/h2/handler.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode, errorName } from '#lib/wire/h2/protocol.ts';
import type { H2Settings } from '#lib/wire/h2/settings.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { ControlOutput } from './control-output.ts';
import { DialLine } from './dial-turns.ts';
import { MIN_SEND_ROOM, type Sender, SendQueue } from './send-queue.ts';
import type { Transport, TransportOwner } from './transport.ts';
import type { Workbench } from './workbench.ts';

/** How a silent peer is found dead, milliseconds. */
export interface PingTimes {
  /** Between PINGs. */
  readonly everyMs: number;
  /** How long a PONG may take. */
  readonly pongWithinMs: number;
}

export const PING_TIMES: PingTimes = Object.freeze({ everyMs: 10_000, pongWithinMs: 20_000 });
const TICK_MS = 5_000;
/** Until the peer's SETTINGS must be there, once TLS is. */
const SETTLE_MS = 10_000;
/** Bytes one tunnel may send in a turn before the other tunnels are flushed. */
const TURN_BYTES = 512 * 1024;
/** Payload of a frame while several streams want to send: none of them waits long behind a bulk stream (trap 17). */
const SHARED_FRAME_BYTES = 32 * 1024;
/** Bytes of the engine's output up to which streams may put some of their own there. */
const LITTLE_BYTES = 32 * 1024;

/** What a stream hears of its tunnel. It is the `userData` of its H2Stream. */
export interface StreamUser extends Sender {
  /** The answer (client), or trailers. */
  onHeaders(headers: HeaderBlock, endStream: boolean): void;
  /** Bytes in the worker's receive arena, valid until this returns; report them with `H2Connection.consumed`. */
  onData(start: number, end: number, endStream: boolean): void;
  onReset(code: number): void;
  /** The window opened again. */
  onSendable(): void;
  /** The tunnel is gone without this stream's end. */
  onTunnelLost(cause: string): void;
}

export interface SessionOwner {
  /** Who answered. Why not to go on, or ''. */
  onPeer(session: Session, peer: PeerIdentity | null): string;
  /** Usable from now on. */
  onUsable(session: Session): void;
  /** A request came (server). Answer it, and set `stream.userData` to a StreamUser if it stays open. */
  onRequest(session: Session, stream: H2Stream, headers: HeaderBlock, endStream: boolean): void;
  /** A stream ended, so that another may open. */
  onStreamGone(session: Session): void;
  /** Over, for whatever reason; its streams have been told. Once. */
  onSessionEnd(session: Session, cause: string): void;
}

export type SessionState = 'opening' | 'settling' | 'open' | 'draining' | 'closed';

export class Session implements H2Handler, TransportOwner, Flushable, TimerTarget {
  flushQueued = false;
  state: SessionState = 'opening';
  peer: PeerIdentity | null = null;
  readonly role: 'client' | 'server';
  readonly h2: H2Connection;
  readonly bench: Workbench;
  /** Its streams that somebody has yet to dial for. */
  readonly dials = new DialLine();
  /** Monotonic ms since when no stream has been open. */
  idleSince: number;
  /** What the peer did that ended the connection; null while it has done nothing such. */
  violation: { readonly code: number; readonly reason: string } | null = null;
  /** The last flush ended because the kernel or the windows took no more, with streams waiting. */
  saturated = false;
  readonly #transport: Transport;
  readonly #owner: SessionOwner;
  readonly #control: ControlOutput;
  readonly #queue = new SendQueue();
  readonly #pings: PingTimes;
  readonly #tickMs: number;
  #timer: TimerId;
  #pingSentAt = 0;
  #pongAt: number;
  #moved = false;

  /** `transport` makes the transport that reports to this session. */
  constructor(
    bench: Workbench,
    role: 'client' | 'server',
    settings: H2Settings,
    owner: SessionOwner,
    transport: (owner: TransportOwner) => Transport,
    pings: PingTimes = PING_TIMES,
  ) {
    this.bench = bench;
    this.#pings = pings;
    // Twice in each of its times, so that none is missed by more than half.
    this.#tickMs = Math.min(TICK_MS, Math.ceil(Math.min(pings.everyMs, pings.pongWithinMs) / 2));
    this.role = role;
    this.#owner = owner;
    this.#control = new ControlOutput(() => bench.loop.markDirty(this));
    this.h2 = new H2Connection(role, settings, this, this.#control);
    this.idleSince = this.#pongAt = bench.loop.now;
    this.#timer = bench.loop.afterAbout(this.#tickMs, this);
    this.h2.start();
    this.#transport = transport(this);
  }

  // === for streams and pools ===

  /** Opens a stream for `user`; null when the peer or its GOAWAY allows no more. */
  request(headers: HeaderBlock, user: StreamUser, endStream = false): H2Stream | null {
    if (this.state !== 'open') return null;
    const stream = this.h2.request(headers, endStream);
    if (stream !== null) stream.userData = user;
    return stream;
  }

  /** `sender` has something to send: it is asked at the end of this turn, or when the transport has room. */
  wantsToSend(sender: Sender): void {
    this.#queue.push(sender);
    this.bench.loop.markDirty(this);
  }

  /** What a stream has may go where the engine writes its frames, which leave first; there is room for those nevertheless. */
  get hasLittleToSend(): boolean {
    return this.#control.pending < LITTLE_BYTES;
  }

  /** The user of a stream is done with it. */
  streamGone(): void {
    if (this.state === 'closed') return;
    if (this.h2.openStreams === 0) this.idleSince = this.bench.loop.now;
    this.#owner.onStreamGone(this);
  }

  /** No new streams; the tunnel ends with its last one. */
  drain(): void {
    if (this.state === 'closed' || this.state === 'draining') return;
    if (this.state !== 'open') {
      this.abort('connection closed due to connection drain');
      return;
    }
    this.state = 'draining';
    this.h2.gracefulShutdown();
    if (this.role === 'client' && this.h2.openStreams === 0) this.#finish('drained');
  }

  /** Ends at once: streams see a broken tunnel, the peer a GOAWAY if it still listens. */
  abort(cause: string): void {
    if (this.state === 'closed') return;
    this.h2.goaway(ErrorCode.noError);
    this.#finish(cause);
  }

  /** The same without a word to the peer. */
  drop(cause: string): void {
    if (this.state === 'closed') return;
    this.#transport.abort();
    this.#end(cause);
  }

  // === the turn's end ===

  flush(): void {
    if (this.state === 'closed' || this.state === 'opening') return;
    const { staging } = this.bench;
    this.saturated = false;
    let budget = TURN_BYTES;
    while (this.#control.pending > 0 || this.#queue.size > 0) {
      const room = Math.min(this.#transport.room(), staging.size);
      if (room < MIN_SEND_ROOM) {
        if (this.#transport.drain() && this.#transport.room() >= MIN_SEND_ROOM) continue;
        this.saturated = this.#queue.size > 0;
        break;
      }
      const filled = this.#fill(room);
      if (filled === 0) break;
      this.#moved = true;
      if (!this.#transport.write(staging, filled)) return;
      // At once, while the ciphertext is in the cache.
      this.#transport.drain();
      if ((this.state as SessionState) === 'closed') return;
      budget -= filled;
      if (budget <= 0) {
        if (this.#queue.size > 0) this.bench.loop.markDirty(this);
        break;
      }
    }
    this.#transport.drain();
    if ((this.state as SessionState) === 'closed') return;
    if (this.h2.ended && this.#control.pending === 0)
      this.#finish(this.violation === null ? 'HTTP/2 connection ended' : this.#violationText());
  }

  #fill(room: number): number {
    const { staging } = this.bench;
    let filled = this.#control.take(staging, 0, room);
    // Each stream once around, then again while there is room.
    while (room - filled >= MIN_SEND_ROOM) {
      const crowd = this.#queue.size > 1;
      const sender = this.#queue.shift();
      if (sender === null) break;
      filled += sender.fill(staging, filled, room - filled, crowd ? SHARED_FRAME_BYTES : room);
    }
    return filled;
  }

  // === TransportOwner ===

  onOpen(peer: PeerIdentity | null): string {
    const refusal = this.#owner.onPeer(this, peer);
    if (refusal !== '') return refusal;
    this.peer = peer;
    this.state = 'settling';
    this.idleSince = this.bench.loop.now;
    this.bench.loop.markDirty(this);
    return '';
  }

  onPlaintext(bytes: Buffer, start: number, end: number): number {
    this.#moved = true;
    return this.h2.receiveSome(bytes, start, end);
  }

  onRoom(): void {
    this.bench.loop.markDirty(this);
  }

  onTransportEnd(cause: string, clean: boolean): void {
    this.#end(clean && this.h2.goawayReceived ? 'closed by peer' : cause);
  }

  // === H2Handler ===

  onHeaders(stream: H2Stream, headers: HeaderBlock, endStream: boolean): void {
    if (stream.userData !== undefined) (stream.userData as StreamUser).onHeaders(headers, endStream);
    else if (this.role === 'server') this.#owner.onRequest(this, stream, headers, endStream);
  }

  onData(stream: H2Stream, _buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const user = stream.userData as StreamUser | undefined;
    if (user !== undefined) user.onData(start, end, endStream);
    else this.h2.consumed(stream, end - start);
  }

  onReset(stream: H2Stream, code: number): void {
    (stream.userData as StreamUser | undefined)?.onReset(code);
  }

  onSendable(stream: H2Stream): void {
    (stream.userData as StreamUser | undefined)?.onSendable();
  }

  onSettings(): void {
    if (this.state !== 'settling') return;
    this.state = 'open';
    this.#owner.onUsable(this);
  }

  onGoaway(_lastStreamId: number, _code: number): void {
    if (this.state === 'open') this.state = 'draining';
    if (this.role !== 'client') return;
    // The peer takes nothing new; we end with our last stream, now if there is none.
    this.h2.gracefulShutdown();
    if (this.h2.openStreams === 0) this.#endSoon();
  }

  onPong(_opaque: number): void {
    this.#pongAt = this.bench.loop.now;
    this.#pingSentAt = 0;
  }

  onRefused(_streamId: number, _code: number, _reason: string): void {}

  onDrained(): void {
    this.#endSoon();
  }

  onConnectionError(code: number, reason: string): void {
    this.violation = { code, reason };
    this.#lose(this.#violationText());
    this.bench.loop.markDirty(this);
  }

  // === timers ===

  onTimer(): void {
    if (this.state === 'closed') return;
    const now = this.bench.loop.now;
    this.#timer = this.bench.loop.afterAbout(this.#tickMs, this);
    this.h2.tick(now);
    if (this.state === 'opening' || (this.state as SessionState) === 'closed') return;
    if (this.state === 'settling' && now - this.idleSince >= SETTLE_MS) {
      this.drop('HTTP/2 handshake timed out: no SETTINGS came');
      return;
    }
    if (this.#pingSentAt !== 0 && now - this.#pingSentAt >= this.#pings.pongWithinMs) {
      if (this.role === 'server') this.abort('peer does not answer PING');
      else this.drop('peer does not answer PING');
      return;
    }
    if (this.#pingSentAt === 0 && now - this.#pongAt >= this.#pings.everyMs) {
      this.#pingSentAt = now;
      this.h2.ping(1);
    }
    if (!this.#moved) {
      this.#transport.shrink();
      this.#control.shrink();
    }
    this.#moved = false;
  }

  // === endings ===

  // After the frames that lie in the output: the engine's callback is not the place to pull the ground away.
  #endSoon(): void {
    this.h2.goaway(ErrorCode.noError);
    this.bench.loop.markDirty(this);
  }

  /** Sends what lies in the output, then closes in good order. */
  #finish(cause: string): void {
    if (this.state !== 'opening') {
      const room = Math.min(this.#transport.room(), this.bench.staging.size);
      const n = this.#control.take(this.bench.staging, 0, room);
      if (n > 0 && !this.#transport.write(this.bench.staging, n)) return;
    }
    if (this.state === 'closed') return;
    this.#transport.finish();
    this.#end(cause);
  }

  #end(cause: string): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.bench.loop.cancel(this.#timer);
    this.#lose(cause);
    this.#owner.onSessionEnd(this, cause);
  }

  #violationText(): string {
    const { code, reason } = this.violation!;
    return `HTTP/2 error ${errorName(code)}: ${reason}`;
  }

  #lose(cause: string): void {
    this.h2.forEachStream((stream) => {
      const user = stream.userData as StreamUser | undefined;
      stream.userData = undefined;
      user?.onTunnelLost(cause);
    });
  }
}
