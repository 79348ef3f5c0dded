// SPDX-License-Identifier: Apache-2.0
//
// Shall a request be tried again, and when? What a route lists decides, and beyond it one thing that RFC 9110 section
// 9.2.2 lets a proxy do for idempotent methods: repeat what was lost with its connection before any answer. A server that
// is restarted closes kept-alive connections just as they are used, and resets those that it has not accepted yet.
// Budgets and breakers bound all retries together.

import type { Random } from '../balance.ts';
import type { Retry, RetryCondition } from '../http/route-table.ts';
import type { RetryBudget as BudgetSettings } from '../http/traffic-policy.ts';
import type { CircuitBreaker } from './breaker.ts';

/** How a try ended, before anything was answered to the client. */
export type TryOutcome =
  | {
      readonly kind: 'response';
      readonly status: number;
      /** From headers of an answer that is nothing but headers; undefined otherwise. */
      readonly grpcStatus: number | undefined;
      /** `x-envoy-ratelimited` was set. */
      readonly rateLimited: boolean;
    }
  /** No connection, or its tunnel was refused; nothing of the request was sent. */
  | { readonly kind: 'connect-failure' }
  | {
      readonly kind: 'reset';
      /** Something of the request had been written. */
      readonly sent: boolean;
    }
  /** REFUSED_STREAM, or beyond the last stream of a GOAWAY: the peer did nothing. */
  | { readonly kind: 'refused-stream' }
  | { readonly kind: 'per-try-timeout' };

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

const GRPC_CONDITION: Readonly<Record<number, RetryCondition>> = {
  1: 'cancelled',
  4: 'deadline-exceeded',
  8: 'resource-exhausted',
  13: 'internal',
  14: 'unavailable',
};

function anyOf(wanted: readonly RetryCondition[], ...conditions: readonly RetryCondition[]): boolean {
  return conditions.some((one) => wanted.includes(one));
}

/** Whether the policy lists this end of a try; budgets are another question. */
export function isRetriable(policy: Retry, outcome: TryOutcome, method: string): boolean {
  const { codes, conditions } = policy;
  switch (outcome.kind) {
    case 'response': {
      const { grpcStatus, rateLimited, status } = outcome;
      const grpc = grpcStatus === undefined ? undefined : GRPC_CONDITION[grpcStatus];
      if (grpc !== undefined && conditions.includes(grpc)) return true;
      if (rateLimited) return conditions.includes('envoy-ratelimited');
      if (status >= 500 && conditions.includes('5xx')) return true;
      if (status >= 502 && status <= 504 && conditions.includes('gateway-error')) return true;
      if (status === 409 && conditions.includes('retriable-4xx')) return true;
      return codes.includes(status) && conditions.includes('retriable-status-codes');
    }
    case 'connect-failure':
      return anyOf(conditions, 'connect-failure', '5xx', 'gateway-error', 'reset', 'reset-before-request');
    case 'refused-stream':
      return anyOf(conditions, 'refused-stream', '5xx', 'gateway-error', 'reset');
    case 'reset':
      if (isIdempotent(method)) return true;
      if (!outcome.sent && conditions.includes('reset-before-request')) return true;
      return anyOf(conditions, '5xx', 'gateway-error', 'reset');
    case 'per-try-timeout':
      return (
        anyOf(conditions, '5xx', 'gateway-error', 'reset') ||
        (codes.includes(504) && conditions.includes('retriable-status-codes'))
      );
  }
}

/** Full jitter over an interval that doubles with each retry. @param retry 1 for the first */
export function backoffMs(policy: Retry, retry: number, random: Random): number {
  const ceiling = Math.min(policy.backoffBaseMs * 2 ** (retry - 1), policy.backoffMaxMs);
  return Math.floor(random() * ceiling);
}

/**
 * How many retries there may be beside first tries. Without an interval: at once, as a share of the requests in
 * flight. With one: within it, as a share of the requests that began in it.
 */
export class RetryBudget {
  readonly #settings: BudgetSettings;
  #active = 0;
  #retrying = 0;
  #windowMs = 0;
  #began = [0, 0];
  #retried = [0, 0];

  constructor(settings: BudgetSettings) {
    this.#settings = settings;
  }

  requestBegins(nowMs: number): void {
    this.#roll(nowMs);
    this.#active++;
    this.#began[0]!++;
  }

  requestEnds(): void {
    this.#active--;
  }

  /** Takes one retry; false when the budget is spent. */
  take(nowMs: number): boolean {
    this.#roll(nowMs);
    const { intervalMs, minConcurrency, percent } = this.#settings;
    const requests = intervalMs === 0 ? this.#active : this.#began[0]! + this.#began[1]!;
    const used = intervalMs === 0 ? this.#retrying : this.#retried[0]! + this.#retried[1]!;
    if (used >= Math.max(minConcurrency, (requests * percent) / 100)) return false;
    this.#retrying++;
    this.#retried[0]!++;
    return true;
  }

  retryEnds(): void {
    this.#retrying--;
  }

  /** Two halves of the interval: the older is forgotten when a new one begins. */
  #roll(nowMs: number): void {
    const half = this.#settings.intervalMs / 2;
    if (half === 0) return;
    const halves = Math.floor((nowMs - this.#windowMs) / half);
    if (halves < 1) return;
    this.#windowMs = nowMs - ((nowMs - this.#windowMs) % half);
    this.#began = [0, halves === 1 ? this.#began[0]! : 0];
    this.#retried = [0, halves === 1 ? this.#retried[0]! : 0];
  }
}

export type RetryVerdict =
  | { readonly kind: 'retry'; readonly delayMs: number }
  /** `exhausted`: tries spent (flag URX). `over-budget`: too many retries at once (flag UO). `not-listed`: final. */
  | { readonly kind: 'end'; readonly reason: 'not-listed' | 'exhausted' | 'over-budget' };

/** The retries of one request. `end` is to be called once, whatever came of it. */
export class RetryState {
  readonly #policy: Retry;
  readonly #method: string;
  readonly #budget: RetryBudget | undefined;
  readonly #breaker: CircuitBreaker;
  /** Tries that were given up; the next one is this plus one. */
  #retries = 0;
  #holds = false;

  constructor(policy: Retry, method: string, breaker: CircuitBreaker, budget: RetryBudget | undefined) {
    this.#policy = policy;
    this.#method = method;
    this.#breaker = breaker;
    this.#budget = budget;
  }

  /** 1 while the first try runs. */
  get attempt(): number {
    return this.#retries + 1;
  }

  /** Whether there could be another try at all, so that the request's body must be kept. */
  get mayRetry(): boolean {
    return this.#retries < this.#policy.attempts;
  }

  decide(outcome: TryOutcome, nowMs: number, random: Random): RetryVerdict {
    this.#release();
    if (!isRetriable(this.#policy, outcome, this.#method)) return { kind: 'end', reason: 'not-listed' };
    if (!this.mayRetry) return { kind: 'end', reason: 'exhausted' };
    if (!this.#breaker.take('retries')) return { kind: 'end', reason: 'over-budget' };
    if (this.#budget !== undefined && !this.#budget.take(nowMs)) {
      this.#breaker.give('retries');
      return { kind: 'end', reason: 'over-budget' };
    }
    this.#holds = true;
    this.#retries++;
    return { kind: 'retry', delayMs: backoffMs(this.#policy, this.#retries, random) };
  }

  /** The request is over. */
  end(): void {
    this.#release();
  }

  #release(): void {
    if (!this.#holds) return;
    this.#holds = false;
    this.#breaker.give('retries');
    this.#budget?.retryEnds();
  }
}
