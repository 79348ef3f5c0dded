// SPDX-License-Identifier: Apache-2.0
// A connection inside a tunnel as a link: CONNECT in a pooled tunnel, the link once the other end has said 200. To another network
// the first CONNECT leads to its gateway and a second one, in a tunnel inside the first, to the far end.

import type { TimerId, TimerTarget } from '#lib/loop/timer-wheel.ts';
import type { HeaderBlock } from '#lib/wire/h2/headers.ts';
import { ErrorCode } from '#lib/wire/h2/protocol.ts';
import type { H2Stream } from '#lib/wire/h2/stream.ts';
import { type ConnectOwner, ConnectStream } from '../connect-stream.ts';
import { type NestedOptions, type NestedOwner, NestedTunnel } from '../nested-tunnel.ts';
import type { TunnelPool, TunnelTarget, TunnelWaiter } from '../pool.ts';
import type { Session } from '../session.ts';
import type { HttpBench } from './bench.ts';
import { NOBODY } from './link.ts';
import { StreamLink } from './stream-link.ts';
import type { Dialling, DialOutcome } from './upstream.ts';

/** A tunnel inside the tunnel; the CONNECT of the outer one leads to a gateway. */
export interface Inside {
  /** A text says why it cannot be begun. */
  readonly options: (replyMs: number) => NestedOptions | string;
  readonly judge: NestedOwner['judge'];
}

export function dialTunnel<T extends TunnelTarget>(
  bench: HttpBench,
  pool: TunnelPool<T>,
  target: T,
  request: HeaderBlock,
  timeoutMs: number,
  outcome: DialOutcome,
  inside: Inside | null = null,
): Dialling {
  const attempt = new TunnelAttempt(bench, pool, target, request, timeoutMs, outcome, inside);
  pool.acquire(target, attempt);
  return attempt;
}

class TunnelAttempt<T extends TunnelTarget> implements TunnelWaiter, ConnectOwner, Dialling, TimerTarget {
  readonly #bench: HttpBench;
  readonly #pool: TunnelPool<T>;
  readonly #target: T;
  readonly #request: HeaderBlock;
  readonly #timeoutMs: number;
  readonly #outcome: DialOutcome;
  readonly #inside: Inside | null;
  #asked: ConnectStream | null = null;
  #inner: NestedTunnel | null = null;
  /** For all of it. */
  #timer: TimerId;
  #over = false;

  constructor(
    bench: HttpBench,
    pool: TunnelPool<T>,
    target: T,
    request: HeaderBlock,
    timeoutMs: number,
    outcome: DialOutcome,
    inside: Inside | null,
  ) {
    this.#bench = bench;
    this.#pool = pool;
    this.#target = target;
    this.#request = request;
    this.#timeoutMs = timeoutMs;
    this.#outcome = outcome;
    this.#inside = inside;
    this.#timer = bench.loop.after(timeoutMs, this);
  }

  onTunnel(session: Session): void {
    if (this.#over) return;
    this.#asked = ConnectStream.open(session, this.#request, this, this.#timeoutMs);
    if (this.#asked === null) this.#fail('the tunnel takes no more streams');
  }

  onNoTunnel(cause: string): void {
    this.#fail(cause);
  }

  cancel(): void {
    if (this.#over) return;
    this.#pool.cancel(this.#target, this);
    this.#leave();
  }

  onTimer(): void {
    this.#timer = 0;
    if (this.#over) return;
    this.#pool.cancel(this.#target, this);
    this.#fail('connection timed out');
  }

  // === ConnectOwner ===

  onConnect(session: Session, stream: H2Stream): void {
    this.#asked = null;
    const inside = this.#inside;
    if (inside === null) {
      this.#open(session, stream);
      return;
    }
    const options = inside.options(this.#timeoutMs);
    if (typeof options === 'string') {
      session.h2.resetStream(stream, ErrorCode.cancel);
      session.streamGone();
      this.#fail(options);
      return;
    }
    this.#inner = new NestedTunnel(session, stream, options, {
      judge: inside.judge,
      onConnect: (far, farStream) => this.#open(far, farStream),
      onRefused: (status) => this.onRefused(status),
      onReset: (error) => this.#fail(error),
      onTunnelLost: (cause) => this.#fail(cause),
    });
  }

  onRefused(status: number): void {
    this.#fail(`peer answered CONNECT with ${status}`);
  }

  onReset(error: string): void {
    this.#fail(error);
  }

  onTunnelLost(cause: string): void {
    this.#fail(cause);
  }

  // === inside ===

  #open(session: Session, stream: H2Stream): void {
    this.#inner = null;
    this.#leave();
    this.#outcome.onLink(new StreamLink(this.#bench, session, stream, NOBODY), '');
  }

  #fail(cause: string): void {
    if (this.#over) return;
    this.#leave();
    this.#outcome.onNoLink(cause);
  }

  #leave(): void {
    this.#over = true;
    if (this.#timer !== 0) this.#bench.loop.cancel(this.#timer);
    this.#timer = 0;
    this.#asked?.cancel();
    this.#asked = null;
    this.#inner?.cancel('given up');
    this.#inner = null;
  }
}
