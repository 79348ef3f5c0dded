// SPDX-License-Identifier: Apache-2.0
// A turn's list is filled, taken from in order, and filled again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TurnList } from './turn-list.ts';

test('what was pushed is taken in order, and the list begins anew', () => {
  const list = new TurnList<{ readonly n: number }>();
  for (const length of [3, 1, 5]) {
    for (let n = 0; n < length; n++) list.push({ n });
    assert.equal(list.size, length);
    assert.deepEqual(
      Array.from({ length }, (_, index) => list.take(index).n),
      Array.from({ length }, (_, n) => n),
    );
    list.size = 0;
  }
});
