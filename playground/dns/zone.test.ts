// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Question } from 'dns-packet';
import type { EndpointSlice, Service } from '#lib/kube/object.ts';
import { answer } from './answer.ts';
import { reverseName, zoneOf } from './zone.ts';

const domain = 'cluster.local';
const web: Service = {
  metadata: { name: 'web', namespace: 'shop' },
  spec: { clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5', 'fd00:10:96::5'], ports: [{ name: 'http', port: 80 }] },
};
const db: Service = {
  metadata: { name: 'db', namespace: 'shop' },
  spec: { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] },
};
const out: Service = {
  metadata: { name: 'out', namespace: 'shop' },
  spec: { type: 'ExternalName', externalName: 'example.com' },
};
const slice: EndpointSlice = {
  metadata: { name: 'db-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'db' } },
  addressType: 'IPv4',
  endpoints: [
    { addresses: ['10.244.1.2'], hostname: 'db-0' },
    { addresses: ['10.244.1.3'] },
    { addresses: ['10.244.1.4'], conditions: { ready: false } },
  ],
  ports: [{ name: 'sql', port: 5432 }],
};
const zone = zoneOf([web, db, out], [slice], domain);
const ask = (name: string, type: Question['type']) => answer(zone, domain, { name, type });
const data = (name: string, type: Question['type']): unknown[] => {
  const reply = ask(name, type);
  return reply.kind === 'answer' ? reply.answers.map((record) => (record as { data: unknown }).data) : [];
};

test('a service answers with its cluster addresses, by family', () => {
  assert.deepEqual(data('web.shop.svc.cluster.local', 'A'), ['10.96.0.5']);
  assert.deepEqual(data('WEB.shop.svc.cluster.local', 'AAAA'), ['fd00:10:96::5']);
  assert.deepEqual(data('_http._tcp.web.shop.svc.cluster.local', 'SRV'), [
    { port: 80, target: 'web.shop.svc.cluster.local', priority: 0, weight: 100 },
  ]);
  assert.deepEqual(data('5.0.96.10.in-addr.arpa', 'PTR'), ['web.shop.svc.cluster.local']);
});

test('a headless service answers with its ready endpoints, each with a name of its own', () => {
  assert.deepEqual(data('db.shop.svc.cluster.local', 'A').sort(), ['10.244.1.2', '10.244.1.3']);
  assert.deepEqual(data('db-0.db.shop.svc.cluster.local', 'A'), ['10.244.1.2']);
  assert.deepEqual(data('10-244-1-3.db.shop.svc.cluster.local', 'A'), ['10.244.1.3']);
});

test('an external name is an alias, an unknown name does not exist, other domains are elsewhere', () => {
  assert.deepEqual(data('out.shop.svc.cluster.local', 'A'), ['example.com']);
  assert.deepEqual(ask('nobody.shop.svc.cluster.local', 'A'), { kind: 'answer', rcode: 'NXDOMAIN', answers: [] });
  assert.deepEqual(ask('shop.svc.cluster.local', 'A'), { kind: 'answer', rcode: 'NOERROR', answers: [] });
  assert.deepEqual(ask('web.shop.svc.cluster.local', 'TXT'), { kind: 'answer', rcode: 'NOERROR', answers: [] });
  assert.deepEqual(ask('example.com', 'A'), { kind: 'elsewhere' });
});

test('reverse names follow the address families', () => {
  assert.equal(
    reverseName('fd00:10:96::5'),
    '5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa',
  );
});
