// SPDX-License-Identifier: Apache-2.0
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#lib/testkit/clock.ts';
import { Debounce } from './debounce.ts';

function setUp(costMs = 0) {
  const clock = new FakeClock();
  const fired: string[] = [];
  // What a push costs shows as time that has passed when it is over.
  let extra = 0;
  const costly = { ...clock, monotonic: () => clock.monotonic() + extra, after: clock.after.bind(clock), now: () => 0 };
  const debounce = new Debounce({
    clock: { ...costly, sleep: clock.sleep.bind(clock) },
    afterMs: 100,
    maxMs: 1000,
    fire: (merged, waited) => {
      fired.push(`${clock.monotonic()}: ${merged} after ${waited}`);
      extra += costMs;
    },
  });
  return { clock, debounce, fired };
}

test('a change out of the quiet is told at once, with those of the same turn', async () => {
  const { clock, debounce, fired } = setUp();
  debounce.change();
  debounce.change();
  await clock.advance(0);
  deepEqual(fired, ['0: 2 after 0']);
});

test('changes without pause are told together, once in a pause', async () => {
  const { clock, debounce, fired } = setUp();
  for (let i = 0; i < 25; i++) {
    debounce.change();
    await clock.advance(10);
  }
  await clock.advance(100);
  deepEqual(fired, ['0: 1 after 0', '100: 9 after 90', '200: 10 after 100', '300: 5 after 100']);
});

test('a push that costs much is followed by a longer pause, up to the bound', async () => {
  const { clock, debounce, fired } = setUp(5000);
  debounce.change();
  await clock.advance(1);
  debounce.change();
  await clock.advance(998);
  deepEqual(fired.length, 1);
  await clock.advance(2000);
  deepEqual(fired.length, 2);
});

test('after a stop nothing is told', async () => {
  const { clock, debounce, fired } = setUp();
  debounce.change();
  debounce.stop();
  await clock.advance(1000);
  deepEqual(fired, []);
});
