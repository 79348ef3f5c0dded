// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counters } from '#lib/loop/shared/counters.ts';
import { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import { partyOf } from '#lib/proxy/telemetry/party.ts';
import { workload } from '#lib/testkit/mesh.ts';
import { closedLine, earlyDenyLine, openedLine } from './access-line.ts';
import type { ConnectionEnd, ConnectionRecord } from './connection.ts';
import { FAMILIES } from './families.ts';
import { trafficLabels } from './labels.ts';
import { levelOf } from './line-format.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678) + 0.25;
const ID = '0123456789abcdef0123456789abcdef';
const record: ConnectionRecord = {
  direction: 'outbound',
  traceId: ID,
  security: 'mutual_tls',
  sourceAddress: '10.0.0.1:41000',
  source: partyOf(workload({ name: 'cart-1', namespace: 'shop', workloadName: 'cart', canonicalName: 'cart' })),
  sourceIdentity: 'spiffe://cluster.local/ns/shop/sa/cart',
  destinationAddress: '10.0.0.2:15008',
  hboneAddress: '10.0.0.2:8080',
  destination: partyOf(workload({ name: 'orders-1', namespace: 'shop', workloadName: 'orders' })),
  destinationIdentity: 'spiffe://cluster.local/ns/shop/sa/orders',
  service: { name: 'orders', namespace: 'shop', hostname: 'orders.shop.svc.cluster.local' },
};
const end: ConnectionEnd = { flag: '-', error: '', receivedBytes: 10, sentBytes: 2000, durationMs: 13.9 };

test('a finished connection is one plain line in Istio’s fields and order', () => {
  assert.equal(
    closedLine(record, end, 'plain', NOW),
    `2026-01-02T03:04:05.678250Z\tinfo\taccess:outbound{id=${ID}}\tconnection complete\t` +
      'src.addr=10.0.0.1:41000 src.workload="cart-1" src.namespace="shop" src.cluster="Kubernetes" ' +
      'src.identity="spiffe://cluster.local/ns/shop/sa/cart" dst.addr=10.0.0.2:15008 dst.hbone_addr=10.0.0.2:8080 ' +
      'dst.service="orders.shop.svc.cluster.local" dst.workload="orders-1" dst.namespace="shop" ' +
      'dst.cluster="Kubernetes" dst.identity="spiffe://cluster.local/ns/shop/sa/orders" direction="outbound" ' +
      'bytes_sent=10 bytes_recv=2000 duration="13ms"\n',
  );
});

test('an inbound line turns the bytes to its own view, names its peer, and says what denied it', () => {
  const inbound: ConnectionRecord = { ...record, direction: 'inbound' };
  const denied: ConnectionEnd = {
    ...end,
    flag: 'DENY',
    error: 'connection closed due to policy rejection: denied by "x"',
    policy: 'shop/deny-cart',
    rule: 0,
    clause: 'principal is cluster.local/ns/shop/sa/cart',
  };
  const text = closedLine(inbound, denied, 'plain', NOW);
  assert.match(text, /\terror\taccess:inbound\{id=[0-9a-f]{32} peer=10\.0\.0\.1:41000\}\t/);
  assert.match(text, /bytes_sent=2000 bytes_recv=10 /);
  assert.match(
    text,
    / policy="shop\/deny-cart" rule=1 clause="principal is .*" error="connection closed due to policy rejection: denied by \\"x\\""\n$/,
  );
});

test('the JSON line holds the same fields, spans last', () => {
  const parsed = JSON.parse(closedLine({ ...record, security: 'node_local' }, end, 'json', NOW)) as Record<
    string,
    unknown
  >;
  assert.deepEqual(Object.keys(parsed).slice(0, 5), ['level', 'time', 'scope', 'message', 'src.addr']);
  assert.deepEqual(Object.keys(parsed).at(-1), 'outbound');
  assert.equal(parsed['node_local'], 'true');
  assert.equal(parsed['bytes_recv'], 2000);
  assert.deepEqual(parsed['outbound'], { id: ID });
});

test('identities are told for secured connections only, and unknown parties leave no fields', () => {
  const text = openedLine(
    { ...record, security: 'none', destination: undefined, service: undefined, hboneAddress: '' },
    'plain',
    NOW,
  );
  assert.match(text, /\tdebug\taccess:outbound/);
  assert.doesNotMatch(text, /identity|dst\.workload|dst\.service|hbone/);
  const early = earlyDenyLine(
    {
      direction: 'inbound',
      sourceAddress: '10.0.0.9:1',
      destinationAddress: '[fd00::1]:15008',
      error: 'ip mismatch: a != b',
    },
    'plain',
    NOW,
  );
  assert.match(
    early,
    /\twarn\taccess\tconnection failed\tsrc\.addr=10\.0\.0\.9:1 dst\.addr=\[fd00::1\]:15008 direction="inbound" error="ip mismatch/,
  );
});

test('the level of a line can be read back in both formats', () => {
  for (const format of ['plain', 'json'] as const) {
    assert.equal(levelOf(closedLine(record, end, format, NOW)), 'info');
    assert.equal(levelOf(closedLine(record, { ...end, error: 'x' }, format, NOW)), 'error');
    assert.equal(levelOf(openedLine(record, format, NOW)), 'debug');
    const early = { direction: 'inbound' as const, sourceAddress: 'a', destinationAddress: 'b', error: 'c' };
    assert.equal(levelOf(earlyDenyLine(early, format, NOW)), 'warn');
  }
});

test('traffic labels come in Istio’s order; localities only when one is known', () => {
  const labels = trafficLabels(record, '-');
  assert.deepEqual(Object.keys(labels), [
    'reporter',
    ...[
      'workload',
      'canonical_service',
      'canonical_revision',
      'workload_namespace',
      'principal',
      'app',
      'version',
      'cluster',
    ].map((name) => `source_${name}`),
    'destination_service',
    'destination_service_namespace',
    'destination_service_name',
    ...[
      'workload',
      'canonical_service',
      'canonical_revision',
      'workload_namespace',
      'principal',
      'app',
      'version',
      'cluster',
    ].map((name) => `destination_${name}`),
    'request_protocol',
    'response_flags',
    'connection_security_policy',
  ]);
  assert.equal(labels['source_workload'], 'cart');
  assert.equal(labels['connection_security_policy'], 'mutual_tls');
  const plain = trafficLabels(
    { ...record, security: 'none', destination: undefined, destinationIdentity: '' },
    'CONNECT',
  );
  assert.equal(plain['connection_security_policy'], 'unknown');
  assert.equal(plain['destination_workload'], 'unknown');
  const placed = trafficLabels({ ...record, source: { ...record.source!, zone: 'z1' } }, '-');
  assert.deepEqual(Object.entries(placed).slice(-4), [
    ['source_region', 'unknown'],
    ['source_zone', 'z1'],
    ['destination_region', 'unknown'],
    ['destination_zone', 'unknown'],
  ]);
});

test('a scrape adds up all processes, and counts outlive the process that made them', () => {
  const exposition = new Exposition(FAMILIES);
  const [one, two] = [Counters.create(8), Counters.create(8)];
  const labels = { reporter: 'source', weird: 'a"b\\c\nd' };
  for (const counters of [one, two]) {
    exposition.slot(counters, 3, 'istio_tcp_connections_opened_total', labels);
    exposition.slot(counters, 4, 'istio_tcp_sockets_open', { reporter: 'source' });
    counters.add(3, 5);
    counters.set(4, 2);
  }
  exposition.value('istio_build', { component: 'ztunnel', tag: 'x' }, () => 1);
  const sample = 'istio_tcp_connections_opened_total{reporter="source",weird="a\\"b\\\\c\\nd"}';
  assert.match(exposition.text(), /# TYPE istio_tcp_connections_opened counter\n/);
  assert.ok(exposition.text().includes(`${sample} 10\n`));
  assert.ok(exposition.text().includes('istio_tcp_sockets_open{reporter="source"} 4\n'));
  exposition.retire(one);
  one.add(3, 100);
  assert.ok(exposition.text().includes(`${sample} 10\n`));
  assert.ok(exposition.text().includes('istio_tcp_sockets_open{reporter="source"} 2\n'));
  assert.ok(exposition.text().includes('istio_build{component="ztunnel",tag="x"} 1\n'));
  assert.ok(exposition.text().endsWith('# EOF\n'));
});

test('a series is told for as long as any process counts in it, and never falls meanwhile', () => {
  const exposition = new Exposition(FAMILIES);
  const [one, two] = [Counters.create(8), Counters.create(8)];
  const name = 'istio_tcp_connections_opened_total';
  for (const counters of [one, two]) {
    exposition.slot(counters, 3, name, { reporter: 'source' });
    exposition.slot(counters, 4, name, { reporter: 'destination' });
    counters.add(3, 5);
    counters.add(4, 1);
  }
  exposition.forget(one, 3, 1);
  one.release(3, 1);
  assert.ok(exposition.text().includes(`${name}{reporter="source"} 10\n`));
  exposition.forget(two, 3, 1);
  assert.ok(!exposition.text().includes('reporter="source"'));
  assert.ok(exposition.text().includes(`${name}{reporter="destination"} 2\n`));
  exposition.slot(one, 3, name, { reporter: 'source' });
  assert.ok(exposition.text().includes(`${name}{reporter="source"} 0\n`));
});

test('a histogram is forgotten with all its samples, by the run of its slots', () => {
  const exposition = new Exposition(FAMILIES);
  const counters = Counters.create(16);
  const name = 'istio_dns_upstream_request_duration_seconds';
  for (const [slot, kind] of [
    [0, 'a'],
    [5, 'b'],
  ] as const)
    exposition.histogram(counters, slot, name, { kind }, [1, 2]);
  exposition.forget(counters, 0, 4);
  assert.ok(!exposition.text().includes('kind="a"'));
  assert.equal(exposition.text().match(/kind="b"/g)?.length, 5);
});

test('the samples of a histogram stand under one family', () => {
  const exposition = new Exposition(FAMILIES);
  const counters = Counters.create(8);
  const name = 'istio_dns_upstream_request_duration_seconds';
  exposition.slot(counters, 0, `${name}_bucket`, { le: '0.01' });
  exposition.slot(counters, 1, `${name}_sum`, {});
  counters.add(0, 1);
  counters.add(1, 0.004);
  const text = exposition.text();
  assert.match(text, new RegExp(`# TYPE ${name} histogram\n${name}_bucket\\{le="0\\.01"\\} 1\n${name}_sum 0\\.004\n`));
});
