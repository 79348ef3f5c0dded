// SPDX-License-Identifier: Apache-2.0
// When memory is given back, and when a pause for it would be felt.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Housekeeping } from './housekeeping.ts';
import { GRID_MS, Loop } from './loop.ts';

const MB = 1024 * 1024;

/** Looks once after two seconds in which the loop worked `busyMs` and the heap grew by `grownBytes`. */
function afterTwoSeconds(busyMs: number, grownBytes: number): string[] {
  let now = 1000;
  let used = 10 * MB;
  const done: string[] = [];
  const loop = new Loop({ monotonic: () => now, spin: false });
  try {
    const housekeeping = new Housekeeping(loop, {
      used: () => used,
      collect: () => void done.push('collect'),
      release: () => void done.push('release'),
    });
    housekeeping.onTurn(1, busyMs);
    used += grownBytes;
    now += 2000 + GRID_MS;
    loop.turn(0);
    return done;
  } finally {
    loop.dispose();
  }
}

test('a quiet loop whose heap grew collects and gives memory back', () => {
  assert.deepEqual(afterTwoSeconds(10, 8 * MB), ['collect', 'release']);
});

test('a busy loop is never stopped for a collection', () => {
  assert.deepEqual(afterTwoSeconds(400, 8 * MB), ['release']);
});

test('a heap that hardly grew is left alone', () => {
  assert.deepEqual(afterTwoSeconds(10, MB), ['release']);
});

test('at rest nothing is looked for, and the first quiet look after traffic collects', () => {
  let now = 0;
  const done: string[] = [];
  const loop = new Loop({ monotonic: () => now, spin: false });
  try {
    let used = 10 * MB;
    const housekeeping = new Housekeeping(loop, {
      used: () => used,
      collect: () => void done.push('collect'),
      release: () => void done.push('release'),
    });
    const look = (): string[] => {
      now += 2000 + GRID_MS;
      loop.turn(0);
      return done.splice(0);
    };
    housekeeping.onTurn(5, 400);
    used += 8 * MB;
    assert.deepEqual(look(), ['release'], 'busy');
    assert.deepEqual(look(), ['collect', 'release'], 'quiet');
    assert.deepEqual([look(), look()], [[], []]);
    housekeeping.onTurn(1, 1);
    assert.deepEqual(look(), ['release']);
  } finally {
    loop.dispose();
  }
});
