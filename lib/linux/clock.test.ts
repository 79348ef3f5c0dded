// SPDX-License-Identifier: Apache-2.0
// The loop's clock beside Node's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { monotonicClock } from './clock.ts';

test('the clock tells what performance.now() tells, and never goes back', () => {
  const clock = monotonicClock();
  const before = performance.now();
  let last = clock();
  // What may lie between two looks is the time for which this process does not run.
  assert.ok(last > before - 5000 && last < performance.now() + 5000, `${last} beside ${before}`);
  for (let look = 0; look < 10_000; look++) {
    const now = clock();
    assert.ok(now >= last, `${now} after ${last}`);
    last = now;
  }
  assert.ok(last > before - 5000 && last < performance.now() + 5000, `${last} beside ${before}`);
});
