// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { medians, ratios } from './statistics.ts';
import { parseWrk } from './tools.ts';
import { machineTime, stolenPercent } from './usage.ts';

test('figures of runs become medians, and a subject is divided by what each peer did at the same moment', () => {
  const runs = {
    ambit: { tx1: [{ gbps: 10 }, { gbps: 30 }, { gbps: 20 }] },
    none: { tx1: [{ gbps: 20 }, { gbps: 40 }, { gbps: 80 }] },
    node: {},
  };
  assert.deepEqual(medians(runs)['ambit'], { tx1: { gbps: 20 } });
  assert.deepEqual(ratios(runs, 'ambit'), { none: { tx1: { gbps: 0.5 } }, node: { tx1: {} } });
});

const WRK = `  Latency Distribution
     50%   31.00us
     90%   45.00us
     99%    1.20ms
  54321 requests in 2.00s, 6.53MB read
Requests/sec:  27160.50
`;

test('wrk is read with its units, and its errors are failures', () => {
  assert.deepEqual(parseWrk(WRK), { rps: 27160.5, p50_us: 31, p99_us: 1200, count: 54321 });
  assert.throws(() => parseWrk(`${WRK}  Socket errors: connect 0, read 3, write 0, timeout 0\n`), /errors/);
});

test('what a hypervisor took is a share of all processors', () => {
  const from = machineTime('cpu  10 0 10 80 0 0 0 0 5 0\ncpu0 10 0 10 80 0 0 0 0 5 0\n');
  const to = machineTime('cpu  20 10 20 230 5 5 5 5 9 0\n');
  assert.deepEqual(to, { total: 300, stolen: 5 });
  assert.equal(stolenPercent(from, to), 2.5);
  assert.equal(stolenPercent(from, from), 0);
});
