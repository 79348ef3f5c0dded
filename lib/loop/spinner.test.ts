// SPDX-License-Identifier: Apache-2.0
// When it pays to poll before blocking, on a clock of the test's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Spinner } from './spinner.ts';

/** A spinner whose every yield takes `yieldMicros` and whose epoll tells what `events` says. */
function rig(events: () => number) {
  const rig = {
    now: 1000,
    yieldMicros: 10,
    yields: 0,
    poll: (): number => spinner.poll({ wait: events }),
    note: (count: number): void => spinner.note(count),
  };
  const spinner = new Spinner({ micros: () => rig.now }, () => {
    rig.yields++;
    rig.now += rig.yieldMicros;
  });
  return rig;
}

test('others run between two looks, and what they send ends the spin', () => {
  const spin = rig(() => (spin.yields === 3 ? 2 : 0));
  assert.equal(spin.poll(), 2);
  assert.equal(spin.yields, 3);
});

test('a spin without an event is short, and many of them make spins rare', () => {
  const spin = rig(() => 0);
  assert.equal(spin.poll(), 0);
  assert.ok(spin.yields >= 2 && spin.yields <= 7, `${spin.yields} yields`);
  spin.yields = 0;
  for (let n = 0; n < 640; n++) spin.poll();
  assert.ok(spin.yields > 0 && spin.yields < 100, `${spin.yields} yields`);
});

test('a crowded loop never spins', () => {
  const spin = rig(() => 1);
  for (let turn = 0; turn < 64; turn++) spin.note(turn % 2 === 0 ? 4 : 1);
  assert.equal(spin.poll(), 0);
  assert.equal(spin.yields, 0);
});

test('when somebody computes on the core, it rests a while, and then tries again', () => {
  const spin = rig(() => 1);
  spin.yieldMicros = 3000;
  assert.equal(spin.poll(), 1);
  assert.equal(spin.poll(), 0);
  spin.now += 99_000;
  assert.equal(spin.poll(), 0);
  assert.equal(spin.yields, 1);
  spin.now += 1000;
  assert.equal(spin.poll(), 1);
  assert.equal(spin.yields, 2);
});
