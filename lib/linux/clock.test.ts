// SPDX-License-Identifier: Apache-2.0
// The loop's clock beside Node's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClockOf, elapsedMicros, MonotonicClock } from './clock.ts';

test('the clock tells what performance.now() tells, and never goes back', () => {
  const clock = new MonotonicClock();
  const before = performance.now();
  let last = clock.ms();
  // What may lie between two looks is the time for which this process does not run.
  assert.ok(last > before - 5000 && last < performance.now() + 5000, `${last} beside ${before}`);
  for (let look = 0; look < 10_000; look++) {
    const now = clock.ms();
    assert.ok(now >= last, `${now} after ${last}`);
    last = now;
  }
  assert.ok(last > before - 5000 && last < performance.now() + 5000, `${last} beside ${before}`);
});

test('whole µs pass as ms do', () => {
  const clock = new MonotonicClock();
  const began = clock.ms();
  const from = clock.lastMicros();
  let last = from;
  do {
    const now = clock.micros();
    assert.ok(Number.isInteger(now) && now >= 0 && now < 2 ** 30, String(now));
    assert.ok(elapsedMicros(last, now) < 5e6, `${now} after ${last}`);
    last = now;
  } while (clock.ms() - began < 20);
  const passed = clock.ms() - began;
  const micros = elapsedMicros(from, clock.lastMicros());
  assert.ok(Math.abs(micros - passed * 1000) <= 1, `${micros} µs are ${passed} ms`);
});

test('µs are counted around their end, and by whatever clock', () => {
  assert.equal(elapsedMicros(2 ** 30 - 1, 4), 5);
  assert.equal(elapsedMicros(7, 7), 0);
  let ms = 0;
  const clock = new ClockOf(() => ms);
  ms = 0.3;
  assert.equal(clock.lastMicros(), 0, 'no further look');
  assert.equal(clock.micros(), 300);
  ms = 2 ** 30 / 1000 + 1;
  assert.equal(elapsedMicros(300, clock.micros()), 700);
});
