// SPDX-License-Identifier: Apache-2.0
// When a loop lets others finish first.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchScheduling } from './batch-scheduling.ts';
import { GRID_MS, Loop } from './loop.ts';

/** The kernel's orders while the loop lived through quarters of a second of `[turns, events a turn]`. */
function ordersDuring(quarters: readonly (readonly [turns: number, events: number])[]): boolean[] {
  let now = 4 * GRID_MS;
  const orders: boolean[] = [];
  const loop = new Loop({ monotonic: () => now, spin: false });
  try {
    const scheduling = new BatchScheduling(loop, (batch) => void orders.push(batch));
    for (const [turns, events] of quarters) {
      for (let k = 0; k < turns; k++) scheduling.onTurn(events);
      now += GRID_MS;
      loop.turn(0);
    }
    return orders;
  } finally {
    loop.dispose();
  }
}

test('one connection, however busy, is woken at once', () => {
  assert.deepEqual(ordersDuring([[4000, 1]]), []);
});

test('turns of many events make the loop wait for its turn, once', () => {
  assert.deepEqual(
    ordersDuring([
      [1000, 5],
      [1000, 5],
      [1000, 2.5],
    ]),
    [true],
  );
});

test('a loop that calmed down is woken at once again', () => {
  assert.deepEqual(
    ordersDuring([
      [1000, 5],
      [1000, 1.2],
    ]),
    [true, false],
  );
});

test('a few crowded turns say nothing', () => {
  assert.deepEqual(ordersDuring([[10, 40]]), []);
});

test('a crowded loop gathers within the first turns of a burst, not at the next look', () => {
  const loop = new Loop({ spin: false });
  try {
    const scheduling = new BatchScheduling(loop, () => {});
    for (let k = 0; k < 100; k++) scheduling.onTurn(5);
    assert.equal(scheduling.batch, true);
    for (let k = 0; k < 100; k++) scheduling.onTurn(1);
    assert.equal(scheduling.batch, false);
  } finally {
    loop.dispose();
  }
});

test('a loop that stops in the middle of a burst is woken at once again', () => {
  assert.deepEqual(
    ordersDuring([
      [1000, 5],
      [10, 40],
      [10, 40],
    ]),
    [true, false],
  );
});
