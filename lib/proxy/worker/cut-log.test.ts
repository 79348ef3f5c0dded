// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Loop } from '#lib/loop/loop.ts';
import { parseIp } from '#lib/mesh/ip.ts';
import type { Session } from '#lib/net/session.ts';
import { Workbench } from '#lib/net/workbench.ts';
import { CutLog } from './cut-log.ts';

function fixture() {
  const clock = { now: 0 };
  const loop = new Loop({ spin: false, monotonic: () => clock.now });
  const counted: string[] = [];
  const told: Readonly<Record<string, unknown>>[] = [];
  const cuts = new CutLog(loop, {
    count: (name, labels) => void counted.push(`${name} ${Object.values(labels)}`),
    message: (_level, _message, fields) => void told.push(fields),
  });
  const session = (code: number) =>
    ({ peer: null, violation: { code, reason: 'too much of it' } }) as unknown as Session;
  const later = (ms: number): void => {
    clock.now += ms;
    loop.turn(0);
  };
  return { counted, cuts, later, loop, session, told };
}

test('each that is cut off is counted by its code, one a second is told with peer and reason, and how many were not', () => {
  const { counted, cuts, later, loop, session, told } = fixture();
  for (let k = 0; k < 100; k++) cuts.ended(session(11), '10.0.0.7:1234');
  assert.equal(counted.length, 100);
  assert.equal(counted[0], 'ambit_http2_cut_total ENHANCE_YOUR_CALM');
  assert.equal(told.length, 1);
  later(1500);
  cuts.ended(session(1), '10.0.0.8:99');
  assert.deepEqual(told[1], {
    ...{ address: '10.0.0.8:99', identity: '', code: 'PROTOCOL_ERROR', reason: 'too much of it', untold: 99 },
  });
  loop.dispose();
});

test('who ends in good order is neither counted nor told', () => {
  const { counted, cuts, loop, told } = fixture();
  cuts.ended({ peer: null, violation: null } as unknown as Session, '10.0.0.7:1');
  assert.deepEqual([counted, told], [[], []]);
  loop.dispose();
});

test('connections that say nothing are counted, those that speak something else are told as well, now and then', () => {
  const { counted, cuts, loop } = fixture();
  assert.equal(cuts.sentAway('silent'), false);
  assert.deepEqual([cuts.sentAway('no_tls'), cuts.sentAway('no_tls')], [true, false]);
  assert.deepEqual(counted, [
    'ambit_connections_refused_total silent',
    'ambit_connections_refused_total no_tls',
    'ambit_connections_refused_total no_tls',
  ]);
  loop.dispose();
});

test('whose tunnels are cut off or come to nothing waits when it comes again, others and who ends in good order do not', () => {
  const { cuts, later, loop } = fixture();
  const bench = new Workbench(loop);
  const tunnel = (violation: Session['violation'], settingsReceived: boolean) =>
    ({ bench, peer: null, violation, h2: { settingsReceived } }) as unknown as Session;
  const waits = (address: string): boolean => bench.offenders.wait(address) > 0 || bench.offenders.wait(address) > 0;
  const [flooder, knocker, friend] = ['10.0.0.7', '10.0.0.8', '10.0.0.9'].map((text) => parseIp(text)!);
  for (let k = 0; k < 64; k++) {
    cuts.tunnelEnded(tunnel({ code: 11, reason: 'too much of it' }, true), flooder!, '10.0.0.7:1');
    cuts.tunnelEnded(tunnel(null, false), knocker!, '10.0.0.8:1');
    cuts.tunnelEnded(tunnel(null, true), friend!, '10.0.0.9:1');
  }
  assert.deepEqual(['10.0.0.7', '10.0.0.8', '10.0.0.9'].map(waits), [true, true, false]);
  later(60_000);
  assert.equal(waits('10.0.0.7'), false);
  loop.dispose();
});
