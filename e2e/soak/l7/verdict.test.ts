// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rest } from '../verdict.ts';
import { type ShownAtL7, type Tally, verdictAtL7 } from './verdict.ts';

const good = (): Tally => ({ ok: 1000, failed: 0, reasons: {} });
const rest = (second: number, mb: number, count: number): Rest => ({ second, memoryMb: [mb], descriptors: [count] });
const RESTS = [rest(0, 90, 80), rest(50, 95, 84), rest(100, 95, 82)];
const GOOD: ShownAtL7 = {
  seconds: 100,
  tallies: { http1: good(), http2: good(), grpc: good(), websocket: good(), denied: good() },
  samples: Array.from({ length: 24 }, (_, k) => ({ second: 5 * k, memoryMb: [100] })),
  rests: RESTS,
  changes: { 'of routes': 30, 'of policies': 40, 'of pods': 10 },
  renewals: 3,
  restarts: 0,
};

test('a soak of a waypoint in which nothing went wrong has passed', () => {
  const { passed, text } = verdictAtL7(GOOD);
  assert.equal(passed, true, text);
});

test('a soak of a waypoint fails for each thing that went wrong, and says which', () => {
  const broken: Tally = { ok: 999, failed: 1, reasons: { 'socket hang up': 1 } };
  const bad: readonly (readonly [Partial<ShownAtL7>, RegExp])[] = [
    [{ tallies: { ...GOOD.tallies, http2: broken } }, /HTTP\/2.*1 of 1000 \(1 × socket hang up\) *│ FAILED/],
    [{ tallies: { ...GOOD.tallies, websocket: { ...good(), ok: 0 } } }, /WebSocket.*0 of 0 *│ FAILED/],
    [
      { tallies: { ...GOOD.tallies, denied: { ...broken, reasons: { 'status 200': 1 } } } },
      /denies.*status 200.*FAILED/,
    ],
    [{ changes: { ...GOOD.changes, 'of pods': 0 } }, /0 of pods *│ FAILED/],
    [{ renewals: 1 }, /renewed *│ 1 *│ FAILED/],
    [
      { samples: GOOD.samples.map((sample, k) => ({ ...sample, memoryMb: [100 + 10 * k] })) },
      /memory under load.*FAILED/,
    ],
    [{ rests: [...RESTS.slice(0, 2), rest(100, 96, 82)] }, /MB at rest.*FAILED/],
    [{ rests: [...RESTS.slice(0, 2), rest(100, 95, 110)] }, /descriptors left over *│ 30 *│ FAILED/],
    [{ restarts: 1 }, /ended *│ 1 *│ FAILED/],
  ];
  for (const [change, told] of bad) {
    const { passed, text } = verdictAtL7({ ...GOOD, ...change });
    assert.equal(passed, false, String(told));
    assert.match(text, told);
  }
});
