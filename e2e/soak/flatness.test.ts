// SPDX-License-Identifier: Apache-2.0
// What counts as flat: the same curves with and without a leak, over ten minutes sampled every five seconds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { curveOf, type Point, staysFlat, staysLow } from './flatness.ts';

/** MB at each sample, by the minute. */
function run(mb: (minute: number) => number): Point[] {
  return Array.from({ length: 120 }, (_, k) => ({ second: 5 * k, mb: mb(k / 12) }));
}

/** What collections leave to be seen: up by so many MB during so many seconds, then down at once. */
function tooth(minute: number, mb: number, seconds: number, phase = 0): number {
  const part = (minute * 60) / seconds + phase;
  return mb * (part - Math.floor(part));
}

const passes = (points: readonly Point[]): boolean => staysFlat(curveOf(points)) && staysLow(curveOf(points));

test('a level line passes, and its floor and slope are told', () => {
  assert.deepEqual(curveOf(run(() => 150)), { earlyMb: 150, lateMb: 150, mbPerMinute: 0, error: 0 });
});

test('collections at any time make no slope', () => {
  for (const seconds of [30, 60, 70, 100, 150]) {
    for (let phase = 0; phase < 1; phase += 0.1)
      assert.ok(passes(run((minute) => 150 + tooth(minute, 12, seconds, phase))), `${seconds} s, ${phase}`);
  }
});

test('warming up that ends by the middle passes', () => {
  assert.ok(passes(run((minute) => 150 + 20 * (1 - Math.exp(-minute)))));
  assert.ok(passes(run((minute) => 150 + Math.min(20, 4 * minute) + tooth(minute, 6, 70))));
});

test('warming up that takes too much fails, however level it ends', () => {
  const curve = curveOf(run((minute) => 150 + Math.max(0, Math.min(60, 30 * (minute - 2)))));
  assert.ok(staysFlat(curve));
  assert.equal(staysLow(curve), false);
});

test('a slow leak fails, under collections as well', () => {
  const slow = curveOf(run((minute) => 150 + 1.2 * minute));
  assert.ok(Math.abs(slow.mbPerMinute - 1.2) < 1e-9);
  assert.equal(staysFlat(slow), false);
  assert.ok(staysLow(slow), 'the sum alone would let it pass');
  for (let phase = 0; phase < 1; phase += 0.1)
    assert.equal(passes(run((minute) => 150 + 3 * minute + tooth(minute, 12, 70, phase))), false, String(phase));
});

test('a leak that begins late fails', () => {
  assert.equal(passes(run((minute) => 150 + Math.max(0, 3 * (minute - 5)))), false);
});

test('what falls passes, and a single high sample is no leak', () => {
  assert.ok(passes(run((minute) => 180 - 2 * minute)));
  assert.ok(passes(run((minute) => (minute === 9 ? 260 : 150))));
});

test('few samples are judged by what they are', () => {
  assert.ok(passes([{ second: 5, mb: 100 }]));
  assert.equal(passes([100, 100, 140, 160, 180].map((mb, k) => ({ second: 5 * k, mb }))), false);
});
