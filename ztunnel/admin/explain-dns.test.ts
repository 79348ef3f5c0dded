// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import { service, workload } from '#lib/testkit/mesh.ts';
import { loadConfig } from '../config.ts';
import type { WorkerSettings } from '../control.ts';
import { type DnsPart, explainDns } from './explain-dns.ts';

const RESOLV = 'nameserver 10.0.0.10\nnameserver 10.0.0.11\n';

function settings(resolv = RESOLV, env: Readonly<Record<string, string>> = {}): WorkerSettings {
  const readFile = (path: string): string | undefined => (path === '/etc/resolv.conf' ? resolv : undefined);
  return loadConfig({ env, readFile, cores: 1 }).worker;
}

function shop(): MapMesh {
  const mesh = new MapMesh();
  mesh.putWorkload(workload({ name: 'cart', namespace: 'shop', ips: ['10.0.0.1'] }));
  mesh.putWorkload(workload({ name: 'outside', namespace: 'shop', ips: ['10.0.0.2'], protocol: 'none' }));
  mesh.putService(service({ name: 'orders', namespace: 'shop', vips: ['10.1.0.1'] }));
  const hostname = 'hidden.example.com';
  const hidden = service({ name: 'hidden', namespace: 'bank', hostname, vips: ['10.1.0.9'] });
  mesh.putService({ ...hidden, visibility: 'namespace' });
  return mesh;
}

function ask(name: string, type: 'A' | 'AAAA' = 'A', from = 'shop/cart', of = settings()): DnsPart {
  const result = explainDns(shop(), from, name, of);
  assert.ok(result.ok);
  return result.value.answers.find((one) => one.type === type)!;
}

test('a name of the mesh: the address, the service, and the form of the name that it was found by', () => {
  const { addresses, kind, lines, text } = ask('Orders.');
  assert.deepEqual([kind, addresses], ['answer', ['10.1.0.1']]);
  assert.equal(text, '10.1.0.1 for 30 s: service shop/orders.shop.svc.cluster.local');
  assert.deepEqual(lines, [
    'Name orders: as it was asked: no service',
    'Name orders.shop.svc.cluster.local: a form of it: is service shop/orders.shop.svc.cluster.local',
    'Service shop/orders.shop.svc.cluster.local: its virtual addresses of IPv4: 10.1.0.1',
  ]);
});

test('a name that a search domain was put behind is an alias, and the domain is told', () => {
  const { lines, text } = ask('orders.shop.svc.cluster.local.svc.cluster.local');
  assert.match(text, /^an alias of orders\.shop\.svc\.cluster\.local, 10\.1\.0\.1 /);
  assert.ok(lines.some((line) => line.includes('without the search domain svc.cluster.local: is service')));
});

test('a type that the service has no address of is a negative answer of the mesh’s own', () => {
  const { kind, lines, text } = ask('orders', 'AAAA');
  assert.equal(kind, 'empty');
  assert.match(text, /^the name exists, with no record of this type/);
  assert.match(lines.at(-1) ?? '', /virtual addresses of IPv6: none$/);
  assert.match(
    ask('orders', 'AAAA', 'shop/cart', settings(RESOLV, { IPV6_ENABLED: 'false' })).lines.at(-1) ?? '',
    /none: the proxy runs without IPv6/,
  );
});

test('any other name is passed on: to whom, in which order, and what becomes of silence', () => {
  const { kind, lines, text } = ask('example.com');
  assert.equal(kind, 'forward');
  assert.equal(text, 'no name of the mesh: passed on to 10.0.0.10');
  const told = lines.join('\n');
  assert.match(told, /until one answers: 10\.0\.0\.10, 10\.0\.0\.11, 10\.0\.0\.10, each for 1500 ms/);
  assert.match(told, /when none answers: server failure after 4500 ms/);
  assert.match(ask('example.com', 'A', 'shop/cart', settings('')).text, /no resolver to pass it on to/);
});

test('a service that the client may not use does not answer, and what would change that is told', () => {
  const { kind, lines } = ask('hidden.example.com');
  assert.equal(kind, 'forward');
  assert.match(lines.join('\n'), /Service bank\/hidden\.example\.com: may it answer: not exported to namespace shop\n/);
  assert.match(lines.join('\n'), /would change if: exportTo names the namespace/);
});

test('who is not captured asks past the proxy', () => {
  assert.equal(ask('orders', 'A', 'shop/outside').kind, 'uncaptured');
  const off = settings(RESOLV, { ISTIO_META_DNS_CAPTURE: 'false' });
  const { kind, lines } = ask('orders', 'A', 'shop/cart', off);
  assert.equal(kind, 'uncaptured');
  assert.match(lines.join('\n'), /ISTIO_META_DNS_CAPTURE/);
});

test('what is no name, and a client that is not known, are refused by field', () => {
  for (const [from, name, field] of [
    ['shop/cart', 'a..b', 'dns'],
    ['shop/cart', '', 'dns'],
    ['shop/nobody', 'orders', 'from'],
  ] as const) {
    const result = explainDns(shop(), from, name, settings());
    assert.ok(!result.ok);
    assert.equal(result.problems[0]?.field, field);
  }
});
