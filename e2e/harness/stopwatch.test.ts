// SPDX-License-Identifier: Apache-2.0
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '#lib/testkit/until.ts';
import { Stopwatch } from './stopwatch.ts';

test('time that this process was not run counts as withheld', () => {
  using watch = new Stopwatch();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
  const { elapsedMs, fairMs } = watch;
  equal(elapsedMs >= 990, true, `${elapsedMs} ms passed`);
  equal(fairMs <= elapsedMs - 800, true, `${fairMs} ms were given`);
});

test('time goes on, and no more is given than passed', async () => {
  using watch = new Stopwatch();
  await until('a second', () => watch.elapsedMs > 1_000);
  const { elapsedMs, fairMs } = watch;
  equal(fairMs >= 0 && fairMs <= watch.elapsedMs, true, `${fairMs} of ${elapsedMs} ms`);
});
