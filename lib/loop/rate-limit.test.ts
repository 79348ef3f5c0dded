// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimit } from './rate-limit.ts';

test('a second’s worth may come at once, and then so many a second', () => {
  const limit = new RateLimit(10, 0);
  const taken = (now: number, tries: number) =>
    Array.from({ length: tries }, () => limit.take(now)).filter(Boolean).length;
  assert.equal(taken(0, 20), 10);
  assert.equal(taken(99, 5), 0);
  assert.equal(taken(100, 5), 1);
  assert.equal(taken(600, 9), 5);
  assert.equal(taken(60_000, 20), 10);
});

test('less than one a second still lets the first through', () => {
  const limit = new RateLimit(0.5, 0);
  assert.equal(limit.take(0), true);
  assert.equal(limit.take(1000), false);
  assert.equal(limit.take(2000), true);
});
