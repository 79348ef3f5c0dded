// SPDX-License-Identifier: Apache-2.0
// One CONNECT of ours, from the request until it is answered. A 200 hands the open stream on, in the same turn and before any byte of
// it is looked at; everything else ends here.
import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode, errorName } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { HboneStatus } from '#lib/wire/hbone.ts';
import type { Sender } from './send-queue.ts';
import type { Session, StreamUser } from './session.ts';

/** The peer took the request and says nothing. Longer than its own waits: record, policy and application together. */
const NO_ANSWER = 'no answer to CONNECT in time';

/** Told once, unless the stream is cancelled. */
export interface ConnectOwner {
  /** 200: whoever takes the stream sets its `userData` before this returns. */
  onConnect(session: Session, stream: H2Stream, headers: HeaderBlock): void;
  /** Any other answer. */
  onRefused(status: number): void;
  /** The stream was ended without an answer. `untouched`: the peer did not look at it, another tunnel will do. */
  onReset(error: string, untouched: boolean): void;
  /** The tunnel died without an answer. */
  onTunnelLost(cause: string): void;
}

export class ConnectStream implements StreamUser, TimerTarget {
  sendQueued = false;
  nextSender: Sender | null = null;
  readonly #session: Session;
  readonly #stream: H2Stream;
  readonly #owner: ConnectOwner;
  #timer: TimerId;
  #over = false;

  /** Sends the request, to be answered within `replyMs`; null when the tunnel takes no more streams. */
  static open(session: Session, request: HeaderBlock, owner: ConnectOwner, replyMs: number): ConnectStream | null {
    if (session.state !== 'open') return null;
    const stream = session.h2.request(request, false);
    return stream === null ? null : new ConnectStream(session, stream, owner, replyMs);
  }

  private constructor(session: Session, stream: H2Stream, owner: ConnectOwner, replyMs: number) {
    this.#session = session;
    this.#stream = stream;
    this.#owner = owner;
    stream.userData = this;
    this.#timer = session.bench.loop.after(replyMs, this);
  }

  onTimer(): void {
    this.#timer = 0;
    if (this.#over) return;
    this.cancel();
    this.#owner.onReset(NO_ANSWER, false);
  }

  /** Ends it; nobody is told. */
  cancel(): void {
    if (this.#over) return;
    this.#session.h2.resetStream(this.#stream, ErrorCode.cancel);
    this.#leave();
  }

  fill(): number {
    return 0;
  }

  onSendable(): void {}

  onHeaders(headers: HeaderBlock, endStream: boolean): void {
    if (this.#over || headers.status < 200) return;
    if (headers.status === HboneStatus.ok && !endStream) {
      this.#over = true;
      this.#disarm();
      this.#owner.onConnect(this.#session, this.#stream, headers);
      return;
    }
    const { status } = headers;
    this.cancel();
    this.#owner.onRefused(status);
  }

  onData(start: number, end: number): void {
    this.#session.h2.consumed(this.#stream, end - start);
  }

  onReset(code: number): void {
    if (this.#over) return;
    this.#leave();
    // Refused means that nobody looked at it (RFC 9113 section 8.7): the tunnel was being drained.
    this.#owner.onReset(`stream reset by peer: ${errorName(code)}`, code === ErrorCode.refusedStream);
  }

  onTunnelLost(cause: string): void {
    if (this.#over) return;
    this.#leave();
    this.#owner.onTunnelLost(cause);
  }

  #disarm(): void {
    if (this.#timer !== 0) this.#session.bench.loop.cancel(this.#timer);
    this.#timer = 0;
  }

  #leave(): void {
    this.#over = true;
    this.#disarm();
    this.#stream.userData = undefined;
    this.#session.streamGone();
  }
}
