// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AgingMap } from './aging-map.ts';

function aging(most = 1000) {
  let now = 0;
  const map = new AgingMap<string, number>({ most, ageMs: 60, monotonic: () => now });
  const pass = (ms: number): void => {
    now += ms;
  };
  return { map, pass };
}

test('what is asked for stays, however many others come and go', () => {
  const { map, pass } = aging();
  map.set('kept', 1);
  for (let k = 0; k < 1000; k++) {
    map.set(`pod-${k}`, k);
    assert.equal(map.get('kept'), 1);
    pass(10);
  }
});

test('what nobody asks for is forgotten when others are added', () => {
  const { map, pass } = aging();
  let most = 0;
  for (let k = 0; k < 1000; k++) {
    map.set(`pod-${k}`, k);
    most = Math.max(most, map.size);
    pass(10);
  }
  assert.ok(most <= 12, `${most} entries were kept`);
  assert.equal(map.get('pod-0'), undefined);
  assert.equal(map.get('pod-999'), 999);
});

test('an entry is kept for as long as it was promised', () => {
  const { map, pass } = aging();
  pass(59);
  map.set('one', 1);
  pass(1);
  map.set('two', 2);
  pass(59);
  map.set('three', 3);
  assert.equal(map.get('one'), 1);
});

test('at rest nothing is forgotten', () => {
  const { map, pass } = aging();
  map.set('one', 1);
  pass(1_000_000);
  assert.equal(map.get('one'), 1);
});

test('entries are bounded whatever the time', () => {
  const { map } = aging(10);
  for (let k = 0; k < 1000; k++) map.set(`pod-${k}`, k);
  assert.ok(map.size <= 20, `${map.size} entries were kept`);
  assert.equal(map.get('pod-999'), 999);
});

test('a value set again replaces the one of before, also after a turn', () => {
  const { map, pass } = aging();
  map.set('one', 1);
  pass(60);
  map.set('other', 0);
  map.set('one', 2);
  assert.equal(map.get('one'), 2);
  assert.equal(map.size, 2);
});
