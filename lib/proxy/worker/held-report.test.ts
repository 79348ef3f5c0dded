// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Loop } from '#lib/loop/loop.ts';
import { OFFENCE, Offenders } from '#lib/net/offenders.ts';
import type { HeldAddress } from '../control.ts';
import { HeldReport } from './held-report.ts';

const WALL = Date.parse('2026-01-01T00:00:00Z');

function fixture() {
  const clock = { now: 0 };
  const loop = new Loop({ spin: false, monotonic: () => clock.now });
  const offenders = new Offenders(loop);
  const counts: Record<string, number> = {};
  const told: Readonly<Record<string, unknown>>[] = [];
  const reports: (readonly HeldAddress[])[] = [];
  new HeldReport({
    ...{ loop, offenders },
    telemetry: {
      count: (name, _labels, n) => {
        counts[name] = (counts[name] ?? 0) + n;
      },
      message: (_level, _message, fields) => void told.push(fields),
    },
    now: () => WALL + loop.now,
    toMain: ({ list }) => void reports.push(list),
  });
  const later = (ms: number): void => {
    for (const end = clock.now + ms; clock.now < end; ) {
      clock.now += 100;
      loop.turn(0);
    }
  };
  const offend = (address: string): void => {
    for (let k = 0; k < 12; k++) offenders.note(address, OFFENCE.cut, 'too much of it');
  };
  return { counts, later, loop, offend, offenders, reports, told };
}

test('who has to wait is counted, told with reason and time, and reported until a while after', () => {
  const { counts, later, loop, offend, offenders, reports, told } = fixture();
  offend('10.0.0.7');
  later(100);
  const one = offenders.hold('10.0.0.7')!;
  const two = offenders.hold('10.0.0.7')!;
  assert.deepEqual(counts, { ambit_connections_waiting: 2, ambit_connections_held_total: 2 });
  assert.equal(told.length, 1);
  const told0 = {
    address: '10.0.0.7',
    waiting: 1,
    since: '2026-01-01T00:00:00.100Z',
    offences: 12,
    reason: 'too much of it',
  };
  assert.deepEqual(told[0], { ...told0, 'waiting.all': 1, untold: 0 });
  later(1000);
  assert.equal(reports.length, 1);
  assert.deepEqual(
    reports[0]!.map(({ address, since, waiting }) => [address, waiting, since]),
    [['10.0.0.7', 2, '2026-01-01T00:00:00.100Z']],
  );
  offenders.letGo(one);
  offenders.letGo(two);
  assert.equal(counts['ambit_connections_waiting'], 0);
  later(2000);
  assert.equal(reports.at(-1)!.length, 1, 'its next ones come at once');
  later(10_000);
  assert.deepEqual(reports.at(-1), []);
  const { length } = reports;
  later(10_000);
  assert.equal(reports.length, length, 'nothing is reported of nobody');
  loop.dispose();
});

test('an address that waits on is told every ten seconds, and since when it began; all together once a second', () => {
  const { later, loop, offend, offenders, told } = fixture();
  const addresses = Array.from({ length: 5 }, (_, k) => `10.0.0.${k}`);
  for (const address of addresses) offend(address);
  for (const address of addresses) offenders.hold(address);
  assert.equal(told.length, 1);
  for (let second = 0; second < 60; second++) {
    later(1000);
    for (const address of addresses) {
      offend(address);
      offenders.letGo(offenders.hold(address)!);
    }
  }
  assert.ok(told.length <= 5 * 6 + 5 && told.length >= 5 * 5, `${told.length} lines of five addresses in a minute`);
  assert.equal(told.at(-1)!['since'], '2026-01-01T00:00:00.000Z');
  assert.equal(new Set(told.map(({ address }) => address)).size, 5);
  loop.dispose();
});

test('more addresses than a report holds are told by how many connections wait', () => {
  const { later, loop, offend, offenders, reports } = fixture();
  for (let k = 0; k < 80; k++) {
    offend(`10.0.1.${k}`);
    for (let n = 0; n <= k; n++) offenders.hold(`10.0.1.${k}`);
  }
  later(1000);
  const [list] = reports;
  assert.equal(list!.length, 50);
  assert.deepEqual([list![0]!.waiting, list!.at(-1)!.waiting], [80, 31]);
  loop.dispose();
});
