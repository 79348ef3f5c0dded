// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_RETRY, type Retry, type RetryCondition } from '../http/route-table.ts';
import { DEFAULT_POOL } from '../http/traffic-policy.ts';
import { CircuitBreaker } from './breaker.ts';
import { backoffMs, isRetriable, RetryBudget, RetryState, type TryOutcome } from './retry.ts';

function answered(status: number, grpcStatus?: number, rateLimited = false): TryOutcome {
  return { kind: 'response', status, grpcStatus, rateLimited };
}

const RESET: TryOutcome = { kind: 'reset', sent: true };
const CONNECT: TryOutcome = { kind: 'connect-failure' };

function listing(...conditions: readonly RetryCondition[]): Retry {
  return { ...DEFAULT_RETRY, conditions, codes: [418] };
}

test('what is tried again is what the route lists', () => {
  const cases: readonly (readonly [RetryCondition, TryOutcome, boolean])[] = [
    ['5xx', answered(500), true],
    ['5xx', answered(404), false],
    ['5xx', RESET, true],
    ['5xx', CONNECT, true],
    ['5xx', { kind: 'per-try-timeout' }, true],
    ['gateway-error', answered(503), true],
    ['gateway-error', answered(500), false],
    ['reset', RESET, true],
    ['reset', answered(503), false],
    ['reset-before-request', { kind: 'reset', sent: false }, true],
    ['reset-before-request', RESET, false],
    ['connect-failure', CONNECT, true],
    ['connect-failure', RESET, false],
    ['refused-stream', { kind: 'refused-stream' }, true],
    ['retriable-4xx', answered(409), true],
    ['retriable-status-codes', answered(418), true],
    ['retriable-status-codes', answered(503), false],
    ['envoy-ratelimited', answered(429, undefined, true), true],
    ['5xx', answered(503, undefined, true), false],
    ['cancelled', answered(200, 1), true],
    ['deadline-exceeded', answered(200, 4), true],
    ['resource-exhausted', answered(200, 8), true],
    ['internal', answered(200, 13), true],
    ['unavailable', answered(200, 14), true],
    ['unavailable', answered(200, 13), false],
  ];
  for (const [condition, outcome, wanted] of cases) {
    assert.equal(isRetriable(listing(condition), outcome, 'POST'), wanted, `${condition} ${JSON.stringify(outcome)}`);
  }
});

test('by default nothing is repeated that a server may have done and that may not be done twice', () => {
  assert.equal(isRetriable(DEFAULT_RETRY, CONNECT, 'POST'), true);
  assert.equal(isRetriable(DEFAULT_RETRY, answered(503), 'GET'), false);
  assert.equal(isRetriable(DEFAULT_RETRY, RESET, 'GET'), true, 'doing it twice does no more than doing it once');
  assert.equal(isRetriable(DEFAULT_RETRY, RESET, 'POST'), false);
});

test('two retries and no more; the wait doubles with jitter up to its bound', () => {
  const state = new RetryState(DEFAULT_RETRY, 'GET', new CircuitBreaker(), undefined);
  const half = (): number => 0.5;
  assert.equal(state.attempt, 1);
  assert.deepEqual(state.decide(CONNECT, 0, half), { kind: 'retry', delayMs: 12 });
  assert.deepEqual(state.decide(CONNECT, 0, half), { kind: 'retry', delayMs: 25 });
  assert.equal(state.attempt, 3);
  assert.deepEqual(state.decide(CONNECT, 0, half), { kind: 'end', reason: 'exhausted' });
  assert.deepEqual(state.decide(answered(404), 0, half), { kind: 'end', reason: 'not-listed' });
  assert.equal(
    backoffMs(DEFAULT_RETRY, 10, () => 0.999),
    249,
  );
});

test('the breaker for retries bounds those that run at once, and gets them back', () => {
  const breaker = new CircuitBreaker({ ...DEFAULT_POOL, maxRetries: 1 });
  const state = (): RetryState => new RetryState(DEFAULT_RETRY, 'GET', breaker, undefined);
  const first = state();
  assert.equal(first.decide(CONNECT, 0, () => 0).kind, 'retry');
  assert.deepEqual(
    state().decide(CONNECT, 0, () => 0),
    { kind: 'end', reason: 'over-budget' },
  );
  first.end();
  first.end();
  assert.equal(breaker.used('retries'), 0);
  assert.equal(state().decide(CONNECT, 0, () => 0).kind, 'retry');
});

test('a budget is a share of the requests in flight, with a least number', () => {
  const budget = new RetryBudget({ percent: 20, minConcurrency: 3, intervalMs: 0 });
  const retries = (): number => {
    let taken = 0;
    while (budget.take(0)) taken++;
    for (let i = 0; i < taken; i++) budget.retryEnds();
    return taken;
  };
  budget.requestBegins(0);
  assert.equal(retries(), 3);
  for (let i = 0; i < 99; i++) budget.requestBegins(0);
  assert.equal(retries(), 20);
  for (let i = 0; i < 100; i++) budget.requestEnds();
  assert.equal(retries(), 3);
});

test('a budget with an interval counts the requests that began in it', () => {
  const budget = new RetryBudget({ percent: 20, minConcurrency: 0, intervalMs: 10_000 });
  for (let i = 0; i < 50; i++) budget.requestBegins(100_000);
  let taken = 0;
  while (budget.take(100_001)) taken++;
  assert.equal(taken, 10);
  assert.equal(budget.take(104_000), false, 'ended retries still count within the interval');
  assert.equal(budget.take(120_000), false, 'old requests do not');
  for (let i = 0; i < 10; i++) budget.requestBegins(120_001);
  assert.equal(budget.take(120_002), true);
});

test('breakers take up to their limit and give back, never below none', () => {
  const breaker = new CircuitBreaker({ ...DEFAULT_POOL, maxRequests: 2 });
  assert.deepEqual(
    [1, 2, 3].map(() => breaker.take('requests')),
    [true, true, false],
  );
  breaker.give('requests');
  assert.equal(breaker.take('requests'), true);
  breaker.give('pending');
  assert.equal(breaker.used('pending'), 0);
  breaker.update({ ...DEFAULT_POOL, maxRequests: 1 });
  assert.equal(breaker.take('requests'), false);
});
