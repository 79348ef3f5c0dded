// SPDX-License-Identifier: Apache-2.0
// The tries of one request that has to do with clocks, or did not go well: how long one may take, whether there may be another,
// when, and where not. Most requests need none of it.
import type { Retry } from '#lib/mesh/http/route-table.ts';
import { CircuitBreaker } from '#lib/mesh/upstream/breaker.ts';
import type { Host } from '#lib/mesh/upstream/host.ts';
import { LOCAL_FAILURE } from '#lib/mesh/upstream/outlier.ts';
import { isIdempotent, RetryState, type TryOutcome } from '#lib/mesh/upstream/retry.ts';
import type { FailureKind } from '#lib/net/http/exchange.ts';
import { type DeadlineOwner, Deadlines } from './deadlines.ts';
import type { ForwardedRequest } from './forwarded-request.ts';

/** A kept connection may end just when it is used again; so often a request moves to another for that alone. */
const STALE_TRIES = 3;
export const NO_HOSTS: readonly Host[] = [];
/** For what is tried again without a cluster. */
const UNBOUNDED = new CircuitBreaker();

/** The request that is tried. */
export interface TriedRequest {
  /** Its content is there for one more try. */
  readonly replayable: boolean;
  /** Nobody waits any longer for a connection or an answer of this try. */
  abandonTry(): void;
  /** The next try begins. */
  tryAgain(): void;
  onTimeout(details: string): void;
}

export class Tries implements DeadlineOwner {
  /** Not to be chosen again if there are others. */
  avoided: readonly Host[] = NO_HOSTS;
  /** The last try was the last that the rule allows. */
  exhausted = false;
  readonly #request: TriedRequest;
  readonly #exchange: ForwardedRequest;
  readonly #retry: Retry | null;
  readonly #clocks: Deadlines;
  #stale = 0;
  #state: RetryState | null = null;

  /** `retry`: null where there is one try. */
  constructor(request: TriedRequest, exchange: ForwardedRequest, retry: Retry | null) {
    this.#request = request;
    this.#exchange = exchange;
    this.#retry = retry;
    this.#clocks = new Deadlines(exchange.runtime.loop, this);
  }

  /** The whole request may take so long from now on. */
  limit(ms: number): void {
    this.#clocks.armRoute(ms);
  }

  /** A try begins that may take so long. */
  limitTry(ms: number): void {
    this.#clocks.armTry(ms);
  }

  /** An answer has begun; `lasts`: what follows has no end of its own. */
  answered(lasts: boolean): void {
    this.#clocks.disarmTry();
    if (lasts) this.#clocks.disarmRoute();
  }

  /** A kept connection was over when it was used again: whether the request moves to another at once. */
  movesOn(kind: FailureKind, reused: boolean): boolean {
    if (!reused || this.#stale >= STALE_TRIES || !this.#request.replayable) return false;
    if (kind !== 'refused' && !isIdempotent(this.#exchange.request.method)) return false;
    this.#stale++;
    return true;
  }

  /** Has the request sent once more, after a while, if the rule and the budgets have it so. */
  later(outcome: TryOutcome): boolean {
    if (this.#retry === null || !this.#request.replayable) return false;
    const delayMs = this.#next(outcome, this.#retry);
    if (delayMs < 0) return false;
    this.#request.abandonTry();
    this.#clocks.disarmTry();
    this.#exchange.grpcStatus = -1;
    this.#clocks.armPause(delayMs);
    return true;
  }

  /** The request is over: what it held of clocks and budgets is given back. */
  end(): void {
    this.#clocks.disarm();
    this.#state?.end();
  }

  // === DeadlineOwner ===

  onPauseOver(): void {
    this.#request.tryAgain();
  }

  onRouteTimeout(): void {
    this.#request.onTimeout('response_timeout');
  }

  onTryTimeout(): void {
    const exchange = this.#exchange;
    const { cluster, member, responded } = exchange;
    if (responded) return;
    this.#request.abandonTry();
    exchange.trace?.tryEnds(exchange, 'per try timeout', 0);
    if (cluster !== null && member !== null) cluster.report(member, LOCAL_FAILURE);
    if (!this.later({ kind: 'per-try-timeout' })) this.#request.onTimeout('upstream_per_try_timeout');
  }

  /** Milliseconds until the next try; -1 if there is none. */
  #next(outcome: TryOutcome, retry: Retry): number {
    const { cluster, member, request, runtime } = this.#exchange;
    this.#state ??= new RetryState(retry, request.method, cluster?.breaker ?? UNBOUNDED, cluster?.budget);
    const verdict = this.#state.decide(outcome, runtime.loop.now, runtime.random);
    if (verdict.kind === 'end') {
      this.exhausted = verdict.reason === 'exhausted';
      return -1;
    }
    const host = member?.host ?? null;
    if (host !== null && retry.avoidTried) this.avoided = [...this.avoided, host];
    return verdict.delayMs;
  }
}
