// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GRID_MS, Loop } from '#lib/loop/loop.ts';
import { FADE_MS, FadeLooks, Fading } from './fading.ts';

test('what is counted in is not idle until it has been left alone for as long as two scrapes take', () => {
  const fading = new Fading();
  assert.equal(fading.idle(0, 0), false);
  assert.equal(fading.idle(0, FADE_MS - 1), false);
  assert.equal(fading.idle(0, FADE_MS), true);
  assert.equal(fading.idle(1, FADE_MS + 1), false);
  assert.equal(fading.idle(1, 2 * FADE_MS), false);
  assert.equal(fading.idle(1, 2 * FADE_MS + 1), true);
});

test('everybody looks again and again, in the order given', () => {
  let now = 1000;
  const loop = new Loop({ monotonic: () => now, spin: false });
  try {
    const looks: string[] = [];
    new FadeLooks(loop, [
      { fade: (at) => void looks.push(`one ${at}`) },
      { fade: (at) => void looks.push(`two ${at}`) },
    ]);
    const turns = Array.from({ length: 2 }, () => {
      now += 30_000 + GRID_MS;
      loop.turn(0);
      return now;
    });
    assert.deepEqual(
      looks,
      turns.flatMap((at) => [`one ${at}`, `two ${at}`]),
    );
  } finally {
    loop.dispose();
  }
});
