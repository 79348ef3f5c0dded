// SPDX-License-Identifier: Apache-2.0
// What counts as flat: the same curves with and without a leak, over ten minutes sampled every five seconds, with a rest at the start,
// half-way and at the end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floorsOf, type Point, staysFlat, staysLow } from './flatness.ts';

/** MB at each sample, by the minute. */
function run(mb: (minute: number) => number): Point[] {
  return Array.from({ length: 120 }, (_, k) => ({ second: 5 * k, mb: mb(k / 12) }));
}

const rests = (mb: (minute: number) => number): Point[] =>
  [0, 5, 10].map((minute) => ({ second: 60 * minute, mb: mb(minute) }));

/** What collections leave to be seen: up by so many MB during so many seconds, then down at once. */
function tooth(minute: number, mb: number, seconds: number, phase = 0): number {
  const part = (minute * 60) / seconds + phase;
  return mb * (part - Math.floor(part));
}

const low = (mb: (minute: number) => number): boolean => staysLow(floorsOf(run(mb)));

test('a level line is low and flat, and its floors are told', () => {
  assert.deepEqual(floorsOf(run(() => 150)), { earlyMb: 150, lateMb: 150 });
  assert.ok(low(() => 150));
  assert.ok(staysFlat(rests(() => 150)));
});

test('collections at any time, however long they are put off, are low', () => {
  for (const seconds of [30, 60, 70, 100, 150, 300]) {
    for (let phase = 0; phase < 1; phase += 0.1)
      assert.ok(
        low((minute) => 150 + tooth(minute, 12, seconds, phase)),
        `${seconds} s, ${phase}`,
      );
  }
});

test('warming up that ends by the middle passes', () => {
  const warming = (minute: number): number => 150 + Math.min(20, 4 * minute);
  assert.ok(low(warming));
  assert.ok(staysFlat(rests(warming)));
});

test('warming up that takes too much is not low, however level it ends', () => {
  const much = (minute: number): number => 150 + Math.max(0, Math.min(60, 30 * (minute - 2)));
  assert.ok(staysFlat(rests((minute) => (minute === 0 ? 150 : 210))));
  assert.equal(low(much), false);
});

test('a slow leak is not flat, though it is low', () => {
  const slow = (minute: number): number => 150 + 1.1 * minute;
  assert.ok(low(slow));
  assert.equal(staysFlat(rests(slow)), false);
  assert.ok(staysFlat(rests((minute) => 150 + 0.9 * minute)));
});

test('a leak that begins late is not flat', () => {
  assert.equal(staysFlat(rests((minute) => 150 + Math.max(0, 3 * (minute - 7)))), false);
});

test('what falls is low and flat, and a single high sample is low', () => {
  assert.ok(low((minute) => 180 - 2 * minute));
  assert.ok(staysFlat(rests((minute) => 180 - 2 * minute)));
  assert.ok(low((minute) => (minute === 9 ? 260 : 150)));
});

test('few samples are judged by what they are, and without rests nothing is flat', () => {
  assert.ok(staysLow(floorsOf([{ second: 5, mb: 100 }])));
  assert.equal(staysLow(floorsOf([100, 100, 140, 160, 180].map((mb, k) => ({ second: 5 * k, mb })))), false);
  assert.equal(staysFlat([]), false);
  assert.equal(staysFlat(rests(() => 150).slice(0, 2)), false);
});
