// SPDX-License-Identifier: Apache-2.0
// When the main process collects.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HeapKeeper } from './heap-keeper.ts';

const MB = 1024 * 1024;

function keeper() {
  const heap = { bytes: 20 * MB, pages: 24 * MB, collected: 0 };
  const made = new HeapKeeper({
    used: () => heap.bytes,
    taken: () => heap.pages,
    collect: () => {
      heap.collected++;
      heap.bytes = 20 * MB;
      heap.pages = 24 * MB;
    },
    release: () => {},
  });
  return { heap, made };
}

/** One that has collected what its start left behind. */
function settled(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const kept = keeper();
  kept.made.changed();
  t.mock.timers.tick(60_000);
  assert.equal(kept.heap.collected, 1);
  kept.heap.collected = 0;
  return kept;
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
  const { heap, made } = settled(t);
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
  heap.bytes += 0.3 * MB;
  made.changed();
  t.mock.timers.tick(60_000);
  assert.equal(heap.collected, 1, 'less than a sixty-fourth is not worth it');
});

test('V8 collects for itself and keeps the pages: at rest those are given back', (t) => {
  const { heap, made } = settled(t);
  heap.pages += 10 * MB;
  made.changed();
  t.mock.timers.tick(60_000);
  assert.equal(heap.collected, 1);
});
