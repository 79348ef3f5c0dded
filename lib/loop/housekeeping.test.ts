// SPDX-License-Identifier: Apache-2.0
// When memory is given back, and when a pause for it would be felt.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Housekeeping } from './housekeeping.ts';
import { GRID_MS, Loop } from './loop.ts';

const MB = 1024 * 1024;

/** A loop's housekeeping over a heap that is said to be of some size. */
class Rig {
  used = 10 * MB;
  taken = 20 * MB;
  #now = 1000;
  readonly #done: string[] = [];
  readonly #loop = new Loop({ monotonic: () => this.#now, spin: false });
  readonly #housekeeping = new Housekeeping(this.#loop, {
    used: () => this.used,
    taken: () => this.taken,
    collect: () => void this.#done.push('collect'),
    release: () => void this.#done.push('release'),
  });

  /** A rig whose first moments are over. */
  static settled(): Rig {
    const rig = new Rig();
    assert.deepEqual(rig.look(10), ['collect', 'release']);
    return rig;
  }

  /** What the next look does, before which the loop worked that long for so many events. */
  look(busyMs: number, events = 1): string[] {
    this.#housekeeping.onTurn(events, busyMs * 1000);
    this.#now += 2000 + GRID_MS;
    this.#loop.turn(0);
    return this.#done.splice(0);
  }

  [Symbol.dispose](): void {
    this.#loop.dispose();
  }
}

/** Looks once after two seconds in which the loop worked `busyMs` and the heap grew by `grownBytes`. */
function afterTwoSeconds(busyMs: number, grownBytes: number): string[] {
  using rig = Rig.settled();
  rig.used += grownBytes;
  return rig.look(busyMs);
}

test('the first quiet look collects what starting left behind', () => {
  using rig = new Rig();
  assert.deepEqual(rig.look(400), ['release']);
  assert.deepEqual(rig.look(10), ['collect', 'release']);
  assert.deepEqual(rig.look(10), ['release']);
});

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
  using rig = Rig.settled();
  rig.used += 8 * MB;
  assert.deepEqual(rig.look(400, 5), ['release'], 'busy');
  assert.deepEqual(rig.look(0, 0), ['collect', 'release'], 'quiet');
  assert.deepEqual([rig.look(0, 0), rig.look(0, 0)], [[], []]);
  assert.deepEqual(rig.look(1), ['release']);
});

test('what V8 collected itself and keeps the pages of is given back at rest', () => {
  using rig = Rig.settled();
  rig.taken += 2 * MB;
  assert.deepEqual(rig.look(10, 5), ['release'], 'quiet');
  assert.deepEqual(rig.look(0, 0), ['collect', 'release'], 'at rest');
  rig.taken += 8 * MB;
  assert.deepEqual(rig.look(10, 5), ['collect', 'release'], 'as much as is worth a pause anyway');
});

test('the first look at rest collects what would not be worth a pause otherwise', () => {
  using rig = Rig.settled();
  rig.used += 0.6 * MB;
  assert.deepEqual(rig.look(10, 5), ['release'], 'quiet');
  assert.deepEqual(rig.look(0, 0), ['collect', 'release'], 'at rest');
  assert.deepEqual(rig.look(10, 5), ['release']);
  assert.deepEqual(rig.look(0, 0), ['release'], 'it did not grow since');
  rig.used += 0.4 * MB;
  assert.deepEqual(rig.look(10, 5), ['release']);
  assert.deepEqual(rig.look(0, 0), ['release'], 'too little');
});

/** How many of a minute's looks, and a few more, collect. */
function collections(rig: Rig, busyMs: number): number {
  let count = 0;
  for (let look = 0; look < 33; look++) if (rig.look(busyMs).includes('collect')) count++;
  return count;
}

test('a loop that is never quiet and has room for it gives back what it took, once a minute at most', () => {
  using rig = Rig.settled();
  rig.taken += 16 * MB;
  assert.equal(collections(rig, 300), 1);
  assert.equal(collections(rig, 300), 0, 'nothing was taken since');
  rig.taken += 16 * MB;
  assert.deepEqual(rig.look(300), ['collect', 'release']);
  rig.taken += 16 * MB;
  assert.deepEqual(rig.look(300), ['release'], 'a moment ago there was one');
});

test('the beginning of a burst is no time for a pause, nor are bursts that come again', () => {
  using rig = Rig.settled();
  for (let burst = 0; burst < 8; burst++) {
    for (const busyMs of [10, 10, 10, 10, 10, 300, 1500, 400]) {
      // What a burst took, and a quiet look does not find any more.
      rig.taken += busyMs > 10 ? 16 * MB : 0;
      assert.deepEqual(rig.look(busyMs), ['release']);
      rig.taken = 20 * MB;
    }
  }
});

test('a loop that has no room for a pause, a heap that took little and a large one are left alone', () => {
  using rig = Rig.settled();
  rig.taken += 16 * MB;
  assert.equal(collections(rig, 900), 0);
  using modest = Rig.settled();
  modest.taken += 6 * MB;
  assert.equal(collections(modest, 300), 0);
  using large = Rig.settled();
  large.taken = 200 * MB;
  assert.equal(collections(large, 300), 1, 'it was small before');
  large.taken += 100 * MB;
  assert.equal(collections(large, 300), 0);
});
