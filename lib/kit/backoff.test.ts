// SPDX-License-Identifier: Apache-2.0
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from './backoff.ts';

test('waits double up to the maximum and begin anew after a success', () => {
  const backoff = new Backoff({ initialMs: 10, maxMs: 50 });
  deepEqual([backoff.next(), backoff.next(), backoff.next(), backoff.next(), backoff.next()], [10, 20, 40, 50, 50]);
  backoff.reset();
  equal(backoff.next(), 10);
});

test('jitter spreads a wait evenly around its value', () => {
  const low = new Backoff({ initialMs: 100, maxMs: 100, jitter: 0.2, random: () => 0 });
  const high = new Backoff({ initialMs: 100, maxMs: 100, jitter: 0.2, random: () => 1 });
  equal(low.next(), 80);
  equal(high.next(), 120);
});
