// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Loop } from '#lib/loop/loop.ts';
import { DialLine, type Dialler, DialTurns } from './dial-turns.ts';

/** Streams that note when they dial; `wanted: false` were reset meanwhile. */
function stream(log: string[], name: string, wanted = true): Dialler {
  return {
    nextDialler: null,
    dial: () => {
      if (wanted) log.push(name);
      return wanted;
    },
  };
}

test('a tunnel with many streams to dial for takes its turn with the others', () => {
  const loop = new Loop({ spin: false });
  const turns = new DialTurns(loop);
  const log: string[] = [];
  const [greedy, modest] = [new DialLine(), new DialLine()];
  for (let k = 0; k < 100; k++) turns.push(greedy, stream(log, `greedy ${k}`));
  turns.push(modest, stream(log, 'modest'));
  loop.turn(0);
  assert.ok(log.length < 50, 'the rest waits for later turns');
  for (let k = 0; k < 200 && log.length < 101; k++) loop.turn(0);
  assert.equal(log.length, 101);
  assert.deepEqual(log.slice(0, 3), ['greedy 0', 'modest', 'greedy 1']);
  loop.dispose();
});

test('streams that were reset in the turn they came in are dialled for by nobody, and take nobody’s place', () => {
  const loop = new Loop({ spin: false });
  const turns = new DialTurns(loop);
  const log: string[] = [];
  const line = new DialLine();
  for (let k = 0; k < 10_000; k++) turns.push(line, stream(log, 'reset', false));
  turns.push(new DialLine(), stream(log, 'kept'));
  loop.turn(0);
  assert.deepEqual(log, ['kept']);
  assert.equal(loop.turn(0), 0);
  loop.dispose();
});

test('dials that take long are few in a turn', () => {
  let now = 0;
  const loop = new Loop({ spin: false, monotonic: () => now });
  const turns = new DialTurns(loop);
  let dialled = 0;
  const slow = (): Dialler => ({
    nextDialler: null,
    dial: () => {
      dialled++;
      now += 0.1;
      return true;
    },
  });
  const line = new DialLine();
  for (let k = 0; k < 30; k++) turns.push(line, slow());
  loop.turn(0);
  assert.equal(dialled, 2);
  for (let k = 0; k < 20; k++) loop.turn(0);
  assert.equal(dialled, 30);
  loop.dispose();
});
