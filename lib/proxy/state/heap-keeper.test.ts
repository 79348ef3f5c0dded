// SPDX-License-Identifier: Apache-2.0
// When the main process collects.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeapKeeper } from './heap-keeper.ts';

const MB = 1024 * 1024;

function keeper() {
  const heap = { bytes: 20 * MB, collected: 0 };
  const made = new HeapKeeper({
    used: () => heap.bytes,
    collect: () => {
      heap.collected++;
      heap.bytes = 20 * MB;
    },
    release: () => {},
  });
  return { heap, made };
}

test('what a large snapshot left behind is collected once it has been taken in', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { heap, made } = keeper();
  heap.bytes = 300 * MB;
  for (let k = 0; k < 3; k++) made.changed();
  assert.equal(heap.collected, 0);
  t.mock.timers.tick(3000);
  assert.equal(heap.collected, 1);
});

test('small changes cost no pause, and once the mesh rests what they left behind is collected', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { heap, made } = keeper();
  for (let k = 1; k <= 4; k++) {
    heap.bytes += MB;
    made.changed();
    t.mock.timers.tick(3000);
  }
  assert.equal(heap.collected, 0);
  t.mock.timers.tick(2000);
  assert.equal(heap.collected, 1);
  t.mock.timers.tick(60_000);
  assert.equal(heap.collected, 1, 'nothing changed since');
  heap.bytes += MB;
  made.changed();
  t.mock.timers.tick(60_000);
  assert.equal(heap.collected, 1, 'a sixteenth is not worth it');
});
