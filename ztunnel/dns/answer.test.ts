// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service } from '#lib/mesh/service.ts';
import { service, workload } from '#lib/testkit/mesh.ts';
import { answerQuestion, type DnsOptions, type DnsView } from './answer.ts';

const client = workload({ name: 'client', namespace: 'ns1', ips: ['10.0.0.1'] });
const options: DnsOptions = {
  clusterDomain: 'cluster.local',
  network: '',
  ipv6: true,
  preferredNamespace: undefined,
  searchDomains: undefined,
};

const named = (hostname: string, namespace: string, vip?: string): Service =>
  service({ name: hostname, namespace, hostname, canonical: false, ...(vip === undefined ? {} : { vips: [vip] }) });

const services = [
  named('productpage.ns1.svc.cluster.local', 'ns1', '10.1.0.1'),
  named('www.google.com', 'ns1', '10.1.0.2'),
  named('*.wildcard', 'ns1', '10.1.0.3'),
  named('*.b.wildcard', 'ns1', '10.1.0.4'),
  named('headless.ns1.svc.cluster.local', 'ns1'),
  named('headless.example.com', 'ns1'),
  named('far.ns1.svc.cluster.local', 'ns1', 'remote|10.1.0.5'),
  named('details.ns2.svc.cluster.remote', 'ns2', '10.1.0.6'),
  { ...named('hidden.example.com', 'ns2', '10.1.0.7'), visibility: 'namespace' as const },
  named('dual.ns1.svc.cluster.local', 'ns1', 'fd00::1'),
  service({ name: 'range', namespace: 'ns1', hostname: 'range.example.com', vips: ['10.2.0.0/24'] }),
];
const endpoints = [
  workload({ name: 'a', ips: ['10.0.1.1', 'fd00::a'] }),
  workload({ name: 'b', ips: ['10.0.1.2'] }),
  workload({ name: 'sick', ips: ['10.0.1.3'], healthy: false }),
].map((one) => ({ workload: one, ports: [] }));
const view: DnsView = {
  servicesOfHostname: (hostname) => services.filter((one) => one.hostname === hostname),
  endpoints: (of) => (of.name.startsWith('headless') ? endpoints : []),
};

function ask(name: string, type: 'A' | 'AAAA' = 'A', over: Partial<DnsOptions> = {}): string {
  const answer = answerQuestion(view, { name, type, client }, { ...options, ...over }, () => 0);
  if (answer.kind === 'forward') return 'forward';
  const alias = answer.alias === undefined ? '' : `${answer.alias} `;
  return `${alias}${answer.addresses
    .map(({ text }) => text)
    .sort()
    .join(' ')}`;
}

const CASES: readonly (readonly [string, string, ('A' | 'AAAA')?])[] = [
  ['productpage', '10.1.0.1'],
  ['productpage.ns1', '10.1.0.1'],
  ['productpage.ns1.svc', '10.1.0.1'],
  ['productpage.ns1.svc.cluster.local', '10.1.0.1'],
  ['productpage.ns1.svc.cluster.local.ns1.svc.cluster.local', 'productpage.ns1.svc.cluster.local 10.1.0.1'],
  ['www.google.com', '10.1.0.2'],
  ['www.google.com.ns1.svc.cluster.local', 'www.google.com 10.1.0.2'],
  ['www.google.com.cluster.local', 'www.google.com 10.1.0.2'],
  ['productpage', '', 'AAAA'],
  ['foo.wildcard', '10.1.0.3'],
  ['a.b.wildcard', '10.1.0.4'],
  ['foo.wildcard.ns1.svc.cluster.local', '10.1.0.3'],
  ['far', ''],
  ['headless', '10.0.1.1 10.0.1.2'],
  ['headless', 'fd00::a', 'AAAA'],
  ['headless.example.com', 'forward'],
  ['details.ns2.svc.cluster.remote', '10.1.0.6'],
  ['details.ns2', 'forward'],
  ['hidden.example.com', 'forward'],
  ['dual', 'fd00::1', 'AAAA'],
  ['range.example.com', 'forward'],
  ['www.google.com.ns1.svc.cluster.local', '', 'AAAA'],
  ['nowhere.example.com', 'forward'],
  ['wildcard', 'forward'],
];

for (const [name, expected, type] of CASES) {
  test(`${type ?? 'A'} ${name} is answered with ${expected === '' ? 'no address' : expected}`, () => {
    assert.equal(ask(name, type), expected);
  });
}

test('without IPv6 the name exists and has no IPv6 address', () => {
  assert.equal(ask('dual', 'AAAA', { ipv6: false }), '');
});

test('of several services the own namespace wins, then canonical, then the preferred namespace, then the first', () => {
  const many = ['ns1', 'ns2', 'ns3', 'ns4'].map((namespace, i) => named('x.example.com', namespace, `10.3.0.${i + 1}`));
  const pick = (list: readonly Service[], preferredNamespace?: string): string => {
    const answer = answerQuestion(
      { servicesOfHostname: (host) => list.filter(({ hostname }) => hostname === host), endpoints: () => [] },
      { name: 'x.example.com', type: 'A', client },
      { ...options, preferredNamespace },
      () => 0,
    );
    return answer.kind === 'answer' ? answer.service.namespace : answer.kind;
  };
  assert.equal(pick(many), 'ns1');
  const others = many.slice(1);
  assert.equal(pick(others), 'ns2');
  assert.equal(pick(others, 'ns4'), 'ns4');
  assert.equal(pick([...others.slice(0, 1), { ...others[1]!, canonical: true }, others[2]!], 'ns4'), 'ns3');
});

test('fixed search domains replace the computed ones', () => {
  assert.equal(ask('www.google.com.corp', 'A', { searchDomains: ['corp'] }), 'www.google.com 10.1.0.2');
  assert.equal(ask('www.google.com.ns1.svc.cluster.local', 'A', { searchDomains: ['corp'] }), 'forward');
});

test('addresses come in an order that chance decides', () => {
  const many = Array.from({ length: 5 }, (_, i) => `10.4.0.${i}`);
  const one = service({ name: 'm', namespace: 'ns1', hostname: 'm.example.com', vips: many });
  const order = (random: () => number): readonly string[] => {
    const mesh: DnsView = { servicesOfHostname: (host) => (host === one.hostname ? [one] : []), endpoints: () => [] };
    const answer = answerQuestion(mesh, { name: one.hostname, type: 'A', client }, options, random);
    return answer.kind === 'answer' ? answer.addresses.map(({ text }) => text) : [];
  };
  const first = order(() => 0);
  assert.notDeepEqual(
    first,
    order(() => 0.999),
  );
  assert.deepEqual([...first].sort(), many);
});
