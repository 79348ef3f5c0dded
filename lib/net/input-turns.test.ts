// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Loop } from '#lib/loop/loop.ts';
import { InputPlace, InputTurns, STRANGER_US } from './input-turns.ts';

/** Lines on a clock that moves only when input is looked at. */
function fixture() {
  const clock = { now: 0 };
  const loop = new Loop({ spin: false, monotonic: () => clock.now });
  const turns = new InputTurns(loop);
  const log: string[] = [];
  /** A connection whose input takes `ms` a look, `looks` times. */
  const connection = (name: string, ms: number, looks: number, taken = 0): InputPlace => {
    let left = looks;
    const place: InputPlace = new InputPlace(
      {
        onInputTurn: () => {
          log.push(name);
          clock.now += ms;
          return --left > 0;
        },
      },
      loop.began,
      taken,
    );
    return place;
  };
  return { clock, loop, turns, log, connection };
}

test('a turn looks at input for half a millisecond, less for those who take much, and leaves the rest to the next', () => {
  const { loop, turns, log, connection } = fixture();
  for (let k = 0; k < 100; k++) turns.push(connection('modest', 0.1, 1));
  loop.turn(0);
  assert.ok(log.length >= 5 && log.length <= 6, `${log.length} looks`);
  for (let k = 0; k < 30; k++) loop.turn(0);
  assert.equal(log.length, 100);
  log.length = 0;
  turns.push(connection('bulk', 0.1, 100, 1_000_000));
  loop.turn(0);
  assert.ok(log.length >= 2 && log.length <= 3, `${log.length} looks`);
  for (let k = 0; k < 60; k++) loop.turn(0);
  assert.equal(log.length, 100, 'none is lost');
  assert.equal(loop.turn(0), 0, 'and then the loop is at rest');
  loop.dispose();
});

test('who has taken little is looked at before those who flood, however many they are', () => {
  const { loop, turns, log, connection } = fixture();
  for (let k = 0; k < 100; k++) turns.push(connection('flood', 0.25, 1000));
  // All of them have had a share.
  for (let k = 0; k < 400; k++) loop.turn(0);
  for (let k = 0; k < 20; k++) {
    log.length = 0;
    turns.push(connection('modest', 0.02, 1));
    loop.turn(0);
    assert.ok(log.slice(0, 2).includes('modest'), `only after ${log}`);
  }
  loop.dispose();
});

test('nobody is forgotten while others are always there before them', () => {
  const { loop, turns, log, connection } = fixture();
  turns.push(connection('bulk', 0.25, 1_000_000, 1_000_000));
  turns.push(connection('stranger', 0.25, 1_000_000, STRANGER_US));
  for (let k = 0; k < 200; k++) {
    turns.push(connection('modest', 0.25, 1));
    turns.push(connection('modest', 0.25, 1));
    loop.turn(0);
  }
  for (const name of ['bulk', 'stranger']) {
    const shares = log.filter((one) => one === name).length;
    assert.ok(shares >= log.length / 40, `${name}: ${shares} of ${log.length}`);
  }
  loop.dispose();
});

test('who comes anew again and again does not come before those who are known to take little', () => {
  const { loop, turns, log, connection } = fixture();
  const known = connection('known', 0.05, 1);
  for (let k = 0; k < 10; k++) turns.push(connection('stranger', 0.2, 1, STRANGER_US));
  turns.push(known);
  loop.turn(0);
  assert.equal(log[0], 'known');
  loop.dispose();
});

test('some hundred requests a second do not put a client behind those who come anew again and again', () => {
  const { clock, loop, turns, log, connection } = fixture();
  const known = connection('known', 0.15, 500);
  for (let k = 0; k < 200; k++) {
    turns.push(known);
    clock.now += 2;
    loop.turn(0);
  }
  for (let k = 0; k < 10; k++) turns.push(connection('stranger', 0.2, 1, STRANGER_US));
  turns.push(known);
  log.length = 0;
  loop.turn(0);
  assert.equal(log[0], 'known');
  loop.dispose();
});

test('nothing is forgiven because a half-life ends while somebody is looked at', () => {
  const { clock, loop, turns, log, connection } = fixture();
  // The turn begins just before 2^16 µs, and the look at what floods ends after them.
  clock.now = 65.5;
  turns.push(connection('flood', 0.25, 1000, 1_000_000));
  loop.turn(0);
  assert.ok(clock.now > 65.536);
  turns.push(connection('stranger', 0.01, 1, STRANGER_US));
  log.length = 0;
  loop.turn(0);
  assert.equal(log[0], 'stranger');
  loop.dispose();
});

test('what was taken is forgotten by halves', () => {
  const place = new InputPlace({ onInputTurn: () => false }, 0);
  place.charge(8000, 0);
  assert.equal(place.taken(65_535), 8000);
  assert.equal(place.taken(65_536), 4000);
  assert.equal(place.taken(65_536 * 3), 1000);
  assert.equal(place.taken(100_000_000), 0);
  place.charge(8000, 2 ** 30 - 1);
  assert.equal(place.taken(65_535), 4000, 'also when the clock begins anew');
});
