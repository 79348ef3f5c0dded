// SPDX-License-Identifier: Apache-2.0
// The tries of one request that did not go well: whether there may be another, when, and where not.
import type { Retry } from '#lib/mesh/http/route-table.ts';
import { CircuitBreaker } from '#lib/mesh/upstream/breaker.ts';
import type { Host } from '#lib/mesh/upstream/host.ts';
import { isIdempotent, RetryState, type TryOutcome } from '#lib/mesh/upstream/retry.ts';
import type { FailureKind } from '#lib/net/http/exchange.ts';
import type { Exchange } from './exchange.ts';

/** A kept connection may end just when it is used again; so often a request moves to another for that alone. */
const STALE_TRIES = 3;
export const NO_HOSTS: readonly Host[] = [];
/** For what is tried again without a cluster. */
const UNBOUNDED = new CircuitBreaker();

export class Tries {
  /** Not to be chosen again if there are others. */
  avoided: readonly Host[] = NO_HOSTS;
  /** The last try was the last that the rule allows. */
  exhausted = false;
  readonly #exchange: Exchange;
  #stale = 0;
  #state: RetryState | null = null;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** A kept connection was over when it was used again: whether the request moves to another at once. */
  movesOn(kind: FailureKind, reused: boolean): boolean {
    if (!reused || this.#stale >= STALE_TRIES) return false;
    if (kind !== 'refused' && !isIdempotent(this.#exchange.request.method)) return false;
    this.#stale++;
    return true;
  }

  /** Milliseconds until the next try; -1 if there is none. */
  next(outcome: TryOutcome, retry: Retry): number {
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

  /** The request is over: what it held of budgets is given back. */
  end(): void {
    this.#state?.end();
  }
}
