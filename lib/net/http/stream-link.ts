// SPDX-License-Identifier: Apache-2.0
// A CONNECT stream of a tunnel as a link: the application's bytes inside HBONE. A tunnel is never stopped for one of its
// streams, so what comes while this one is paused waits in blocks and its credit is kept back; the stream's window bounds it.
import type { Arena } from '#lib/linux/arena.ts';
import type { Resumable } from '#lib/loop/loop.ts';
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode, errorName, FRAME_HEADER } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { Outbox } from '../outbox.ts';
import type { Sender } from '../send-queue.ts';
import type { Session, StreamUser } from '../session.ts';
import type { HttpBench } from './bench.ts';
import { Link, type LinkOwner, NOBODY } from './link.ts';

const LINGER_MS = 1000;
/** Handed to the owner at a time of what has waited. */
const PIECE = 32 * 1024;
const NOT_WANTED = 'stream reset by peer: it wants no more';
const OVER_BUDGET = 'memory for stopped readers is used up, this one held most';

export class StreamLink extends Link implements StreamUser, Resumable, TimerTarget {
  resumeQueued = false;
  sendQueued = false;
  nextSender: Sender | null = null;
  readonly session: Session;
  readonly stream: H2Stream;
  readonly #bench: HttpBench;
  #outbox: Outbox | null = null;
  #inbox: Outbox | null = null;
  #finishing = false;
  #finished = false;
  /** The peer's END_STREAM came; it counts once the inbox is empty. */
  #ended = false;
  #toldEnd = false;
  /** The peer has said all and takes no more: what is written is dropped. */
  #unwanted = false;
  /** The owner waits for a backlog that was dropped. */
  #dropped = false;
  #closing = false;
  #cause = '';
  #timer: TimerId = 0;
  /** Something waits for the next turn. */
  #putOff = false;

  /** Takes over an open stream. */
  constructor(bench: HttpBench, session: Session, stream: H2Stream, owner: LinkOwner) {
    super(owner);
    this.#bench = bench;
    this.session = session;
    this.stream = stream;
    stream.userData = this;
  }

  // === Link ===

  transmit(arena: Arena, start: number, length: number): void {
    if (this.closed || this.#cause !== '') return;
    if (this.#unwanted) {
      // As on a connection whose other end is closed. Until the owner has heard the peer out it may still do so.
      if (this.#toldEnd) this.#break(NOT_WANTED);
      return;
    }
    this.#outbox ??= new Outbox(this.#bench.blocks, () => this.#break(OVER_BUDGET));
    if (this.backlog === 0) this.progressAt = this.#bench.loop.now;
    if (!this.#outbox.append(arena, start, length)) return;
    this.backlog = this.#outbox.bytes;
    this.session.wantsToSend(this);
  }

  pause(): void {
    this.paused = true;
  }

  /** By the loop: what was put off. By the owner: goes on reading, in the next turn. */
  resume(): void {
    if (this.#putOff && !this.resumeQueued) {
      this.#putOff = false;
      if (this.#cause !== '') this.#tell();
      else {
        if (this.#dropped) this.#tellDropped();
        if (!this.closed && !this.paused) this.#deliver();
      }
    } else if (this.paused) {
      this.paused = false;
      this.#later();
    }
  }

  finish(): void {
    if (this.closed || this.#finishing) return;
    this.#finishing = true;
    this.#bench.cork.flushOf(this);
    if (!this.#unwanted) this.session.wantsToSend(this);
    else if (this.#toldEnd) this.#end();
  }

  close(): void {
    if (this.closed || this.#closing) return;
    this.#bench.cork.flushOf(this);
    this.owner = NOBODY;
    this.#closing = true;
    this.#dropInbox();
    if (this.#unwanted) {
      this.#end();
      return;
    }
    this.finish();
    this.#timer = this.#bench.loop.after(LINGER_MS, this);
  }

  abort(): void {
    if (this.closed) return;
    this.owner = NOBODY;
    this.session.h2.resetStream(this.stream, ErrorCode.cancel);
    this.#end();
  }

  // === what the tunnel says ===

  onHeaders(_headers: HeaderBlock, endStream: boolean): void {
    if (endStream) this.#onEnd();
  }

  onData(start: number, end: number, endStream: boolean): void {
    const { receive } = this.#bench;
    const length = end - start;
    if (this.closed || this.#closing || this.#cause !== '') this.session.h2.consumed(this.stream, length);
    else if (length > 0) {
      if (this.paused || this.#inbox !== null) {
        this.#inbox ??= new Outbox(this.#bench.blocks, () => this.#break(OVER_BUDGET));
        this.#inbox.append(receive, start, length);
      } else {
        this.session.h2.consumed(this.stream, length);
        this.owner.onBytes(this, receive, start, end);
      }
    }
    if (endStream) this.#onEnd();
  }

  onReset(code: number): void {
    // The peer has said all and wants no more (RFC 9113 section 8.1).
    if (code === ErrorCode.noError && this.#ended) this.#dropOutput();
    else this.#break(`stream reset by peer: ${errorName(code)}`);
  }

  onSendable(): void {
    if (!this.closed) this.session.wantsToSend(this);
  }

  onTunnelLost(cause: string): void {
    this.#break(cause);
  }

  fill(arena: Arena, offset: number, room: number, share: number): number {
    if (this.closed || this.#finished || this.#unwanted || this.#cause !== '') return 0;
    const { h2 } = this.session;
    if (this.#outbox === null) return this.#finishing ? this.#finish(arena, offset) : 0;
    const quota = h2.dataQuota(this.stream);
    if (quota === 0) return 0;
    const n = this.#outbox.take(arena, offset + FRAME_HEADER, Math.min(room - FRAME_HEADER, quota, share));
    h2.writeDataHeader(arena.bytes, offset, this.stream, n, false);
    this.backlog = this.#outbox.bytes;
    this.progressAt = this.#bench.loop.now;
    if (this.backlog > 0) this.session.wantsToSend(this);
    else {
      this.#outbox = null;
      if (this.#finishing) this.session.wantsToSend(this);
      if (!this.#closing) this.owner.onDrained(this);
    }
    return FRAME_HEADER + n;
  }

  onTimer(): void {
    this.#timer = 0;
    if (this.backlog > 0 && this.#bench.loop.now - this.progressAt < LINGER_MS)
      this.#timer = this.#bench.loop.after(LINGER_MS, this);
    else this.abort();
  }

  // === inside ===

  #finish(arena: Arena, offset: number): number {
    this.#finished = true;
    this.session.h2.writeDataHeader(arena.bytes, offset, this.stream, 0, true);
    if (this.#ended && (this.#closing || this.#toldEnd)) this.#end();
    else if (this.#closing) {
      // Everything is said: what the peer still sends is of no use.
      this.session.h2.resetStream(this.stream, ErrorCode.noError);
      this.#end();
    }
    return FRAME_HEADER;
  }

  #dropOutput(): void {
    if (this.closed || this.#unwanted || this.#cause !== '') return;
    this.#unwanted = true;
    this.#outbox?.clear();
    this.#outbox = null;
    this.#dropped = this.backlog > 0;
    this.backlog = 0;
    if (this.#closing || (this.#finishing && this.#toldEnd)) this.#end();
    else if (this.#dropped) this.#later();
  }

  #tellDropped(): void {
    this.#dropped = false;
    if (!this.closed && !this.#closing) this.owner.onDrained(this);
  }

  #later(): void {
    this.#putOff = true;
    this.#bench.loop.again(this);
  }

  #deliver(): void {
    const inbox = this.#inbox;
    if (inbox !== null) {
      const { receive } = this.#bench;
      while (inbox.bytes > 0 && !this.paused && !this.closed && this.#inbox !== null) {
        const n = inbox.take(receive, 0, Math.min(PIECE, receive.size));
        this.session.h2.consumed(this.stream, n);
        if (inbox.bytes === 0) this.#inbox = null;
        this.owner.onBytes(this, receive, 0, n);
      }
      if (this.#inbox !== null || this.closed) return;
    }
    if (this.#ended && !this.#toldEnd && !this.paused) this.#tellEnd();
  }

  #onEnd(): void {
    this.#ended = true;
    if (this.closed) return;
    if (this.#closing) {
      if (this.#finished) this.#end();
    } else if (this.#inbox === null && !this.paused) this.#tellEnd();
  }

  #tellEnd(): void {
    this.#toldEnd = true;
    this.owner.onFin(this);
    if (this.#finished || (this.#unwanted && this.#finishing)) this.#end();
  }

  #break(cause: string): void {
    if (this.closed || this.#cause !== '') return;
    if (this.#closing) {
      this.#end();
      return;
    }
    this.#cause = cause;
    this.backlog = 0;
    this.#later();
  }

  #tell(): void {
    if (this.closed) return;
    const { owner } = this;
    const cause = this.#cause;
    this.abort();
    owner.onBroken(this, cause);
  }

  #dropInbox(): void {
    if (this.#inbox === null) return;
    const { bytes } = this.#inbox;
    this.#inbox.clear();
    this.#inbox = null;
    this.session.h2.consumed(this.stream, bytes);
  }

  #end(): void {
    if (this.closed) return;
    this.closed = true;
    this.#outbox?.clear();
    this.#outbox = null;
    this.#dropInbox();
    this.backlog = 0;
    if (this.#timer !== 0) this.#bench.loop.cancel(this.#timer);
    this.#timer = 0;
    this.session.streamGone();
  }
}
