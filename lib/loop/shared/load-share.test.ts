// SPDX-License-Identifier: Apache-2.0
// Who should take the next one, as two processes with mappings of their own see it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoadShare } from './load-share.ts';

function pair(count: number): [LoadShare, LoadShare] {
  const share = LoadShare.create(count);
  return [share, LoadShare.open(share.fd)];
}

test('what comes to one process goes to the one that carries less', () => {
  const [mine, theirs] = pair(2);
  mine.ready(0);
  theirs.ready(1);
  assert.equal(mine.placeFor(0), 0, 'nobody carries less than nothing');
  mine.add(0, 1);
  assert.equal(mine.placeFor(0), 1);
  assert.equal(theirs.placeFor(1), 1);
  mine.add(1, 1);
  assert.equal(theirs.carriedBy(1), 1);
  assert.equal(mine.placeFor(0), 0);
});

test('among many a small difference moves nothing', () => {
  const [share] = pair(2);
  for (const index of [0, 1]) share.ready(index);
  share.add(0, 50);
  share.add(1, 40);
  assert.equal(share.placeFor(0), 0);
  share.add(0, 1);
  assert.equal(share.placeFor(0), 1);
});

test('a process that has not begun, or is gone, is given nothing', () => {
  const [share] = pair(3);
  share.ready(0);
  share.add(0, 5);
  assert.equal(share.placeFor(0), 0);
  share.ready(2);
  assert.equal(share.placeFor(0), 2);
  share.close(2);
  share.add(2, -1);
  assert.equal(share.placeFor(0), 0);
});
