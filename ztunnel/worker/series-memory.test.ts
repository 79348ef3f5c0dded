// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partyOf } from '#lib/proxy/telemetry/party.ts';
import { workload } from '#lib/testkit/mesh.ts';
import type { ConnectionRecord } from '../telemetry/connection.ts';
import { Series, SeriesSlots } from './series.ts';
import { SeriesMemory } from './series-memory.ts';

const record: ConnectionRecord = {
  direction: 'outbound',
  traceId: '',
  security: 'mutual_tls',
  sourceAddress: '10.0.0.1:41000',
  source: partyOf(workload({ name: 'cart' })),
  sourceIdentity: 'spiffe://cluster.local/ns/shop/sa/cart',
  destinationAddress: '10.0.0.2:15008',
  hboneAddress: '10.0.0.2:8080',
  destination: partyOf(workload({ name: 'orders' })),
  destinationIdentity: 'spiffe://cluster.local/ns/shop/sa/orders',
  service: { name: 'orders', namespace: 'shop', hostname: 'orders.shop.svc.cluster.local' },
};

const slotsOf = (of: ConnectionRecord): SeriesSlots => new SeriesSlots(of, 1, 2, 3);

test('a series is found by its parties; whatever makes other labels makes another series', () => {
  const memory = new SeriesMemory();
  const series = new Series(record, slotsOf(record));
  memory.put(series);
  assert.equal(memory.find({ ...record, traceId: 'x', sourceAddress: '10.0.0.1:41001' }), series);
  const others: Partial<ConnectionRecord>[] = [
    { direction: 'inbound' },
    { security: 'none' },
    { source: undefined },
    { source: partyOf(workload({ name: 'web' })) },
    { sourceIdentity: '' },
    { destination: undefined },
    { destinationIdentity: '' },
    { service: undefined },
  ];
  for (const other of others) {
    const different: ConnectionRecord = { ...record, ...other };
    assert.equal(memory.find(different), undefined);
    const own = new Series(different, slotsOf(different));
    memory.put(own);
    assert.equal(memory.find(different), own);
  }
  assert.equal(memory.find(record), series);
});

test('a series that was forgotten is not found any more, and another takes its place', () => {
  const memory = new SeriesMemory();
  const series = new Series(record, slotsOf(record));
  memory.put(series);
  series.slots.forgotten = true;
  assert.equal(memory.find(record), undefined);
  const next = new Series(record, slotsOf(record));
  memory.put(next);
  assert.equal(memory.find(record), next);
});
