// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_PROOF, recordProof } from '#lib/mesh/proof.ts';
import type { ConnectionEnd, ConnectionRecord } from '../telemetry/connection.ts';
import { RecentConnections } from './recent.ts';

const record = (port: number): ConnectionRecord => ({
  direction: 'outbound',
  traceId: '',
  security: 'none',
  sourceAddress: `10.0.0.1:${port}`,
  source: undefined,
  sourceIdentity: '',
  destinationAddress: '10.0.0.2:80',
  hboneAddress: '',
  destination: undefined,
  destinationIdentity: '',
  service: undefined,
});
const well: ConnectionEnd = { flag: '-', error: '', receivedBytes: 1, sentBytes: 1, durationMs: 1 };

test('of a crowd that ends well the first of each second are kept, and of one that fails; proofs always', () => {
  let now = 10_000;
  const recent = new RecentConnections({ monotonic: () => now, now: () => now, proofsPerSecond: 1 });
  const ports = () => recent.list().map(({ src }) => Number(src.split(':')[1]));
  for (let n = 0; n < 1000; n++) recent.ended(record(1000 + n), well, NO_PROOF);
  assert.equal(ports().length, 64);
  recent.ended(record(1), well, recordProof());
  recent.ended(record(2), { ...well, flag: 'CONNECT', error: 'connection failed' }, NO_PROOF);
  recent.failedEarly('inbound', '10.0.0.9:3', '10.0.0.2:80', { ...well, error: 'no such port' }, NO_PROOF);
  assert.deepEqual(
    [1, 2, 3].map((port) => ports().includes(port)),
    [true, true, true],
  );
  for (let n = 0; n < 1000; n++) recent.ended(record(3000 + n), { ...well, flag: '-', error: 'reset' }, NO_PROOF);
  assert.ok(ports().includes(2), 'thousands that fail wash out none of the seconds before');
  assert.equal(ports().filter((port) => port >= 3000 && port < 4000).length, 62);
  recent.ended(record(5), { ...well, flag: 'DENY', error: 'denied' }, recordProof());
  assert.ok(ports().includes(5));
  now += 1000;
  recent.ended(record(4), well, NO_PROOF);
  assert.equal(ports()[0], 4);
});
