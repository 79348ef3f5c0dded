// SPDX-License-Identifier: Apache-2.0
// A connection inside a tunnel as a link: CONNECT in a pooled tunnel, the link once the other end has said 200.

import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode, errorName } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import type { TunnelPool, TunnelTarget, TunnelWaiter } from '../pool.ts';
import type { Sender } from '../send-queue.ts';
import type { Session, StreamUser } from '../session.ts';
import type { HttpBench } from './bench.ts';
import { NOBODY } from './link.ts';
import { StreamLink } from './stream-link.ts';
import type { Dialling, DialOutcome } from './upstream.ts';

export function dialTunnel<T extends TunnelTarget>(
  bench: HttpBench,
  pool: TunnelPool<T>,
  target: T,
  request: HeaderBlock,
  timeoutMs: number,
  outcome: DialOutcome,
): Dialling {
  const attempt = new TunnelAttempt(bench, pool, target, request, timeoutMs, outcome);
  pool.acquire(target, attempt);
  return attempt;
}

class TunnelAttempt<T extends TunnelTarget> implements TunnelWaiter, StreamUser, Dialling, TimerTarget {
  sendQueued = false;
  nextSender: Sender | null = null;
  readonly #bench: HttpBench;
  readonly #pool: TunnelPool<T>;
  readonly #target: T;
  readonly #request: HeaderBlock;
  readonly #outcome: DialOutcome;
  #session: Session | null = null;
  #stream: H2Stream | null = null;
  #timer: TimerId;
  #over = false;

  constructor(
    bench: HttpBench,
    pool: TunnelPool<T>,
    target: T,
    request: HeaderBlock,
    timeoutMs: number,
    outcome: DialOutcome,
  ) {
    this.#bench = bench;
    this.#pool = pool;
    this.#target = target;
    this.#request = request;
    this.#outcome = outcome;
    this.#timer = bench.loop.after(timeoutMs, this);
  }

  onTunnel(session: Session): void {
    if (this.#over) return;
    this.#session = session;
    this.#stream = session.request(this.#request, this);
    if (this.#stream === null) this.#fail('the tunnel takes no more streams');
  }

  onNoTunnel(cause: string): void {
    this.#fail(cause);
  }

  cancel(): void {
    if (this.#over) return;
    this.#pool.cancel(this.#target, this);
    this.#leave(true);
  }

  onTimer(): void {
    this.#timer = 0;
    this.#pool.cancel(this.#target, this);
    if (this.#over) return;
    this.#leave(true);
    this.#outcome.onNoLink('connection timed out');
  }

  onHeaders(headers: HeaderBlock, endStream: boolean): void {
    if (this.#over || headers.status < 200) return;
    if (headers.status !== 200 || endStream) {
      this.#leave(true);
      this.#outcome.onNoLink(`peer answered CONNECT with ${headers.status}`);
      return;
    }
    const [session, stream] = [this.#session!, this.#stream!];
    this.#stream = null;
    this.#disarm();
    this.#over = true;
    this.#outcome.onLink(new StreamLink(this.#bench, session, stream, NOBODY), '');
  }

  onData(start: number, end: number): void {
    if (this.#stream !== null) this.#session?.h2.consumed(this.#stream, end - start);
  }

  onReset(code: number): void {
    this.#fail(`stream reset by peer: ${errorName(code)}`);
  }

  onSendable(): void {}

  onTunnelLost(cause: string): void {
    this.#fail(cause);
  }

  fill(): number {
    return 0;
  }

  #fail(cause: string): void {
    if (this.#over) return;
    this.#leave(false);
    this.#outcome.onNoLink(cause);
  }

  #leave(reset: boolean): void {
    this.#over = true;
    this.#disarm();
    const stream = this.#stream;
    this.#stream = null;
    if (stream === null) return;
    stream.userData = undefined;
    if (reset) this.#session!.h2.resetStream(stream, ErrorCode.cancel);
    this.#session!.streamGone();
  }

  #disarm(): void {
    if (this.#timer !== 0) this.#bench.loop.cancel(this.#timer);
    this.#timer = 0;
  }
}
