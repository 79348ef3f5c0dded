// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Rest, type Shown, verdictOf } from './verdict.ts';

const line = (ok: number, failed = 0, leaked = 0) =>
  JSON.stringify({ sent: ok, ok, failed, denied: 2, leaked, reasons: failed > 0 ? { 'socket hang up': failed } : {} });

const rest = (second: number, memoryMb: readonly number[], descriptors: readonly number[]): Rest => ({
  ...{ second, memoryMb, descriptors },
});
const RESTS = [rest(0, [90, 80], [200, 210]), rest(300, [95, 84], [204, 210]), rest(600, [96, 84], [201, 208])];

const GOOD: Shown = {
  seconds: 10,
  lines: Array.from({ length: 10 }, () => line(2200)).join('\n'),
  samples: Array.from({ length: 24 }, (_, k) => ({ second: 5 * k, memoryMb: [100, 90] })),
  churn: { changes: 50, answered: 25, silent: [] },
  rests: RESTS,
  restarts: 0,
};

test('a soak in which nothing went wrong has passed', () => {
  assert.equal(verdictOf(GOOD).passed, true);
});

test('a soak fails for each thing that went wrong, and says which', () => {
  const bad: readonly (readonly [Partial<Shown>, RegExp])[] = [
    [{ lines: GOOD.lines.replace(line(2200), line(2199, 1)) }, /1 of 22000 \(1 × socket hang up\) *│ FAILED/],
    [{ lines: GOOD.lines.replace(line(2200), line(2200, 0, 1)) }, /1 of 20 *│ FAILED/],
    [{ lines: line(100) }, /requests a second *│ 10 *│ FAILED/],
    [{ churn: { ...GOOD.churn, silent: ['churn-1: no answer'] } }, /1 of 26 \(churn-1: no answer\) *│ FAILED/],
    [
      { samples: GOOD.samples.map((sample, k) => ({ ...sample, memoryMb: [100 + 10 * k, 90] })) },
      /memory under load, early and late *│ 120 MB \+ 90 MB → 300 MB \+ 90 MB *│ FAILED/,
    ],
    [
      { rests: [...RESTS.slice(0, 2), rest(600, [96, 90], [201, 208])] },
      /MB at rest.*│ 90\.0, 95\.0, 96\.0 \+ 80\.0, 84\.0, 90\.0 *│ FAILED/,
    ],
    [{ samples: [] }, /memory.*FAILED/],
    [{ rests: [] }, /at rest.*FAILED/],
    [{ rests: [...RESTS.slice(0, 2), rest(600, [96, 84], [230, 210])] }, /descriptors left over *│ 30, 0 *│ FAILED/],
    [{ restarts: 1 }, /ended *│ 1 *│ FAILED/],
  ];
  for (const [change, told] of bad) {
    const { passed, text } = verdictOf({ ...GOOD, ...change });
    assert.equal(passed, false, String(told));
    assert.match(text, told);
  }
});
