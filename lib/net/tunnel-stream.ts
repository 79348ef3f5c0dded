// SPDX-License-Identifier: Apache-2.0
// One application connection in a tunnel: a socket joined to an HTTP/2 stream, both directions, each with its own end.
//
// Backpressure: bytes for the tunnel are read from the socket only when the stream's and the connection's window and the
// transport have room, so they wait in the application's own kernel buffer. Bytes for the application that its socket does
// not take wait in an outbox, bounded by the stream's window, since credit returns on delivery only.
//
// Endings (RFC 9113 section 8.5, trap 12): FIN and END_STREAM mean each other. Whatever else ends a direction, a dead tunnel,
// RST_STREAM, a reset by the application, becomes a reset on the other side too, or a short answer is taken for a whole one.

import type { Arena } from '#lib/linux/arena.ts';
import { errnoName } from '#lib/linux/errno.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode, errorName, FRAME_HEADER } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { Outbox } from './outbox.ts';
import type { Sender } from './send-queue.ts';
import type { Session, StreamUser } from './session.ts';
import { BROKEN, NOTHING_YET, type Socket, type SocketOwner } from './socket.ts';
import type { ByteTap } from './tap.ts';

/** Who keeps the books of a joined connection. */
export interface JoinOwner {
  /** Who is to be shown the bytes, from the first on; asked once, at the beginning. */
  tap?(): ByteTap | null;
  /** `n` bytes went from the accepting side's application to the other. */
  onBytesOut(n: number): void;
  onBytesIn(n: number): void;
  /** Over; once. `error` is '' for an end that both sides meant. */
  onJoinEnd(error: string): void;
}

/** What the peer has said before there was a socket to take it. */
export interface EarlyInput {
  readonly outbox: Outbox | null;
  /** It has said all it wants to say. */
  readonly ended: boolean;
}

/** How long unread input is drained after the other side wants no more of it. */
const DISCARD_MS = 1000;

export class TunnelStream implements StreamUser, SocketOwner, TimerTarget {
  sendQueued = false;
  nextSender: Sender | null = null;
  readonly #session: Session;
  readonly #stream: H2Stream;
  readonly #socket: Socket;
  readonly #owner: JoinOwner;
  #outbox: Outbox | null = null;
  #tap: ByteTap | null;
  /** The application's end was passed on as END_STREAM. */
  #sentEnd = false;
  /** The peer wants no more of what the application sends. */
  #unwanted = false;
  /** The tunnel's END_STREAM came. */
  #gotEnd = false;
  /** FIN was sent to the application. */
  #finished = false;
  /** No window: waits for onSendable. */
  #blocked = false;
  #over = false;
  #timer: TimerId = 0;

  /** Takes over `socket` and the open `stream`; bytes that are already there are seen to in this turn. */
  constructor(session: Session, stream: H2Stream, socket: Socket, owner: JoinOwner, early: EarlyInput | null = null) {
    this.#session = session;
    this.#stream = stream;
    this.#socket = socket;
    this.#owner = owner;
    this.#tap = owner.tap?.() ?? null;
    stream.userData = this;
    socket.owner = this;
    if (socket.readable) session.wantsToSend(this);
    if (early !== null) this.#takeEarly(early);
  }

  // === the application's socket ===

  onSocket(socket: Socket): void {
    if (this.#outbox !== null && socket.writable) this.#drain();
    if (socket.readable && !this.#over) {
      if (this.#unwanted) this.#discard();
      else if (this.#sentEnd || this.#blocked) {
        if (socket.broken()) this.#appBroke();
      } else this.#session.wantsToSend(this);
    }
  }

  fill(arena: Arena, offset: number, room: number, share: number): number {
    const socket = this.#socket;
    if (this.#over || this.#sentEnd || this.#unwanted || !socket.readable) return 0;
    const h2 = this.#session.h2;
    const quota = h2.dataQuota(this.#stream);
    if (quota === 0) {
      this.#blocked = true;
      return 0;
    }
    let want = room - FRAME_HEADER;
    if (want > quota) want = quota;
    if (want > share) want = share;
    const n = socket.receive(arena, offset + FRAME_HEADER, want);
    if (n > 0) {
      if (this.#tap !== null) this.#showOut(arena.bytes, offset + FRAME_HEADER, n);
      const ends = socket.takeEnd();
      h2.writeDataHeader(arena.bytes, offset, this.#stream, n, ends);
      this.#owner.onBytesOut(n);
      if (ends) this.#appEnded();
      else if (socket.readable) this.#session.wantsToSend(this);
      return FRAME_HEADER + n;
    }
    if (n === NOTHING_YET) return 0;
    if (n === BROKEN) {
      this.#appBroke();
      return 0;
    }
    h2.writeDataHeader(arena.bytes, offset, this.#stream, 0, true);
    this.#appEnded();
    return FRAME_HEADER;
  }

  // === the tunnel ===

  onHeaders(_headers: HeaderBlock, endStream: boolean): void {
    // Trailers: a tunnel has none (RFC 9113 section 8.5); their END_STREAM counts.
    if (endStream) this.#peerEnded();
  }

  onData(start: number, end: number, endStream: boolean): void {
    const length = end - start;
    if (this.#over) {
      this.#session.h2.consumed(this.#stream, length);
      return;
    }
    if (length > 0) {
      if (this.#tap !== null) this.#showIn(start, end);
      let sent = 0;
      if (this.#outbox === null) {
        // The last bytes and the FIN in one segment.
        sent = this.#socket.send(this.#session.bench.receive, start, length, endStream && !this.#sentEnd);
        if (sent === BROKEN) {
          this.#appBroke();
          return;
        }
        if (sent > 0) this.#delivered(sent);
      }
      if (sent < length && !this.#keep(start + sent, length - sent)) return;
    }
    if (endStream) this.#peerEnded();
  }

  onReset(code: number): void {
    if (this.#over) return;
    if (code === ErrorCode.noError) {
      // The peer has said all it wants to say and wants no more.
      this.#unwanted = !this.#sentEnd;
      this.#peerEnded();
      return;
    }
    this.#break(`stream reset by peer: ${errorName(code)}`);
  }

  onSendable(): void {
    this.#blocked = false;
    if (this.#socket.readable && !this.#sentEnd) this.#session.wantsToSend(this);
  }

  onTunnelLost(cause: string): void {
    if (!this.#over) this.#break(cause);
  }

  // === both ===

  /** Ends the connection now, visibly broken on both sides. */
  kill(error: string): void {
    if (this.#over) return;
    this.#session.h2.resetStream(this.#stream, ErrorCode.cancel);
    this.#break(error);
  }

  onTimer(): void {
    this.#timer = 0;
    if (!this.#over) this.#break('application does not stop sending');
  }

  /** END_STREAM is written. */
  #appEnded(): void {
    this.#sentEnd = true;
    if (this.#finished) this.#complete();
  }

  #takeEarly({ outbox, ended }: EarlyInput): void {
    this.#gotEnd = ended;
    if (outbox === null) {
      if (ended) this.#finish();
      return;
    }
    outbox.forEach((bytes, start, end) => {
      if (this.#tap?.onIn(bytes, start, end) === false) this.#tap = null;
    });
    this.#outbox = outbox;
    this.#drain();
  }

  #delivered(n: number): void {
    this.#session.h2.consumed(this.#stream, n);
    this.#owner.onBytesIn(n);
  }

  #keep(start: number, length: number): boolean {
    const { blocks, receive } = this.#session.bench;
    this.#outbox ??= new Outbox(blocks, () => this.kill('memory for stopped readers is used up, this one held most'));
    return this.#outbox.append(receive, start, length);
  }

  #drain(): void {
    const outbox = this.#outbox!;
    const sent = outbox.drain(this.#socket);
    if (sent === BROKEN) {
      this.#appBroke();
      return;
    }
    if (sent > 0) this.#delivered(sent);
    if (outbox.bytes > 0) return;
    this.#outbox = null;
    if (this.#gotEnd) this.#finish();
  }

  #peerEnded(): void {
    this.#gotEnd = true;
    if (this.#outbox === null) this.#finish();
  }

  /** Everything the tunnel brought is delivered. */
  #finish(): void {
    this.#finished = true;
    // Closing says FIN as well, and everything that came has been read.
    if (this.#sentEnd) {
      this.#complete();
      return;
    }
    this.#socket.finish();
    if (this.#unwanted) this.#discard();
  }

  /** The peer takes nothing more: read on so that our FIN is not overtaken by a reset, but not for ever. */
  #discard(): void {
    const { receive } = this.#session.bench;
    if (this.#timer === 0) this.#timer = this.#session.bench.loop.after(DISCARD_MS, this);
    while (this.#socket.readable) {
      const n = this.#socket.receive(receive, 0, receive.size);
      if (n === NOTHING_YET) return;
      if (n > 0) continue;
      if (n === BROKEN) this.#appBroke();
      else {
        this.#sentEnd = true;
        if (this.#finished) this.#complete();
      }
      return;
    }
  }

  #complete(): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.close();
    this.#leave('');
  }

  #appBroke(): void {
    if (this.#over) return;
    const error = `connection failed: ${errnoName(this.#socket.errno)}`;
    this.#session.h2.resetStream(this.#stream, ErrorCode.cancel);
    this.#break(error);
  }

  #break(error: string): void {
    this.#over = true;
    this.#socket.abort();
    this.#leave(error);
  }

  #showOut(bytes: Buffer, start: number, length: number): void {
    if (this.#tap?.onOut(bytes, start, start + length) === false) this.#tap = null;
  }

  #showIn(start: number, end: number): void {
    if (this.#tap?.onIn(this.#session.bench.receive.bytes, start, end) === false) this.#tap = null;
  }

  #leave(error: string): void {
    this.#tap?.onTapEnd();
    this.#outbox?.clear();
    this.#outbox = null;
    if (this.#timer !== 0) this.#session.bench.loop.cancel(this.#timer);
    this.#session.streamGone();
    this.#owner.onJoinEnd(error);
  }
}
