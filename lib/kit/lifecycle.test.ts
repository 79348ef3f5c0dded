// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#lib/testkit/clock.ts';
import { Drain } from './drain.ts';
import { Readiness } from './readiness.ts';

test('readiness waits for every hold, and a hold is released once', () => {
  const readiness = new Readiness();
  const first = readiness.hold('state');
  const second = readiness.hold('state');
  const proxy = readiness.hold('proxy');
  assert.deepEqual(readiness.pending(), ['proxy', 'state']);
  first();
  first();
  proxy();
  assert.deepEqual(readiness.pending(), ['state']);
  second();
  assert.ok(readiness.ready());
});

test('a graceful drain stops at its deadline and not before', async () => {
  const clock = new FakeClock();
  const drain = new Drain(clock);
  assert.ok(drain.begin('graceful', 5000, 'SIGTERM'));
  assert.ok(drain.started.aborted);
  await clock.advance(4999);
  assert.ok(!drain.stopped.aborted);
  await clock.advance(1);
  assert.ok(drain.stopped.aborted);
  assert.equal(drain.reason, 'SIGTERM');
});

test('an immediate end cuts a graceful drain short and keeps its first reason', () => {
  const drain = new Drain(new FakeClock());
  drain.begin('graceful', 5000, 'SIGTERM');
  assert.ok(!drain.begin('immediate', 0, 'second signal'));
  assert.ok(drain.stopped.aborted);
  assert.equal(drain.reason, 'SIGTERM');
});
