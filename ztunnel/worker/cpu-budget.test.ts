// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CpuBudget } from './cpu-budget.ts';

test('a share of the time is spent at once or little by little, and comes back as time goes by', () => {
  let now = 0;
  const budget = new CpuBudget(0.05, () => now);
  const work = (ms: number): void =>
    budget.spend(() => {
      now += ms;
    });
  assert.ok(budget.some && budget.enough);
  // A pause of any length fills it for a second: 50 ms.
  now = 60_000;
  work(30);
  assert.deepEqual([budget.some, budget.enough], [true, false]);
  work(40);
  assert.deepEqual([budget.some, budget.enough], [false, false]);
  // 70 ms of work in 70 ms: 16.5 ms are missing, which is 330 ms at 5 %.
  now += 300;
  assert.equal(budget.some, false);
  now += 100;
  assert.deepEqual([budget.some, budget.enough], [true, false]);
  now += 600;
  assert.equal(budget.enough, true);
});
