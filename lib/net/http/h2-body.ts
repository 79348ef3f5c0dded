// SPDX-License-Identifier: Apache-2.0
// Content that goes out on one HTTP/2 stream, with its end: kept in blocks until the windows and the connection take it.
import type { Arena } from '#lib/linux/arena.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { FRAME_HEADER } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { Outbox } from '../outbox.ts';
import type { Sender } from '../send-queue.ts';
import type { Session } from '../session.ts';
import type { HttpBench } from './bench.ts';
import { HIGH_WATER, type Trailers } from './exchange.ts';
import { trailerBlock } from './trailers.ts';

/** Content up to this size goes out behind the head that was written just before it, in one copy. */
const AT_ONCE_BYTES = 4096;

/** Told of what the peer took. */
export interface H2BodyOwner extends Sender {
  /** There is room for more. */
  onBodyRoom(): void;
  /** Memory is used up and this stream held most of it. */
  onBodyOverBudget(): void;
}

export class H2Body {
  /** Monotonic ms at which bytes last left, or began to wait. */
  progressAt = 0;
  readonly #bench: HttpBench;
  readonly #session: Session;
  readonly #stream: H2Stream;
  readonly #owner: H2BodyOwner;
  #outbox: Outbox | null = null;
  #ends = false;
  #trailers: HeaderBlock | null = null;
  #full = false;

  constructor(bench: HttpBench, session: Session, stream: H2Stream, owner: H2BodyOwner) {
    this.#bench = bench;
    this.#session = session;
    this.#stream = stream;
    this.#owner = owner;
  }

  get backlog(): number {
    return this.#outbox?.bytes ?? 0;
  }

  /** Takes content; false when the source should wait for `onBodyRoom`. `last`: nothing follows, trailers neither. */
  write(bytes: Buffer, start: number, end: number, last: boolean): boolean {
    if (end === start) return !this.#full;
    const from = start + this.#writeNow(bytes, start, end, last);
    if (from === end) return true;
    this.#outbox ??= new Outbox(this.#bench.blocks, () => this.#owner.onBodyOverBudget());
    if (this.#outbox.bytes === 0) this.progressAt = this.#bench.loop.now;
    if (!this.#outbox.appendBytes(bytes, from, end - from)) return true;
    this.#session.wantsToSend(this.#owner);
    if (this.#outbox.bytes >= HIGH_WATER) this.#full = true;
    return !this.#full;
  }

  /** Ends our direction behind what was written. `trailers` may be of a head that is gone when this returns. */
  end(trailers: Trailers): void {
    if (this.#stream.localEnded) return;
    this.#ends = true;
    this.#trailers = trailerBlock(trailers);
    if (this.#outbox !== null) this.#session.wantsToSend(this.#owner);
    else if (this.#trailers !== null) this.#end();
    else this.#session.h2.endStream(this.#stream);
  }

  /** Returns how many octets need not wait. */
  #writeNow(bytes: Buffer, start: number, end: number, last: boolean): number {
    if (this.#outbox !== null || end - start > AT_ONCE_BYTES || !this.#session.hasLittleToSend) return 0;
    return this.#session.h2.writeData(this.#stream, bytes, start, end, last);
  }

  /** As `Sender.fill`. */
  fill(arena: Arena, offset: number, room: number, share: number): number {
    const stream = this.#stream;
    if (stream.closed || stream.localEnded) return 0;
    const { h2 } = this.#session;
    const outbox = this.#outbox;
    if (outbox === null) return 0;
    const quota = h2.dataQuota(stream);
    if (quota === 0) return 0;
    const n = outbox.take(arena, offset + FRAME_HEADER, Math.min(room - FRAME_HEADER, quota, share));
    const last = outbox.bytes === 0;
    const ends = last && this.#ends && this.#trailers === null;
    h2.writeDataHeader(arena.bytes, offset, stream, n, ends);
    this.progressAt = this.#bench.loop.now;
    if (!last) this.#session.wantsToSend(this.#owner);
    else {
      this.#outbox = null;
      if (this.#ends && !ends) this.#end();
    }
    if (this.#full && outbox.bytes < HIGH_WATER / 2) {
      this.#full = false;
      this.#owner.onBodyRoom();
    }
    return FRAME_HEADER + n;
  }

  /** What waited is lost. */
  clear(): void {
    this.#outbox?.clear();
    this.#outbox = null;
  }

  // By the engine's own output, which leaves after what has been filled in so far.
  #end(): void {
    if (this.#trailers !== null && !this.#stream.closed) this.#session.h2.trailers(this.#stream, this.#trailers);
  }
}
