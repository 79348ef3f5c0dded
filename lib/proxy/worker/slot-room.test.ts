// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters } from '#lib/loop/shared/counters.ts';
import type { CommonToMain, SlotRun } from '../control.ts';
import { SlotRoom } from './slot-room.ts';

test('a slot counts for something else only when main has said that it has read it', () => {
  const told: CommonToMain[] = [];
  const counters = Counters.create(1);
  const room = new SlotRoom(counters, (message) => void told.push(message));
  const slot = room.take('a_total', { pod: 'one' });
  assert.deepEqual(told.splice(0), [{ kind: 'series', slot, name: 'a_total', labels: { pod: 'one' } }]);
  counters.add(slot, 3);
  room.leave(slot);
  room.flush();
  assert.deepEqual(told.splice(0), [{ kind: 'series-gone', runs: [[slot, 1]] }]);
  const full = counters.capacity - 1;
  for (let n = 0; n < full; n++) counters.allocate();
  assert.equal(room.take('a_total', { pod: 'two' }), -1);
  assert.equal(counters.get(slot), 3);
  room.freed([[slot, 1]]);
  assert.equal(room.take('a_total', { pod: 'two' }), slot);
  assert.equal(counters.get(slot), 0);
});

test('no room is nothing to give back, and many slots go in messages that fit', () => {
  const told: CommonToMain[] = [];
  const room = new SlotRoom(Counters.create(1), (message) => void told.push(message));
  room.leave(-1);
  room.flush();
  assert.equal(told.length, 0);
  for (let n = 0; n < 2500; n++) room.leave(n, 64);
  room.flush();
  room.flush();
  const runs = told.flatMap((message) => (message.kind === 'series-gone' ? [message.runs] : []));
  assert.deepEqual(
    runs.map(({ length }) => length),
    [1000, 1000, 500],
  );
  assert.deepEqual(runs.flat().at(-1), [2499, 64] satisfies SlotRun);
});
