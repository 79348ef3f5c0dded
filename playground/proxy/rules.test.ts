// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSlice, Service } from '#lib/kube/object.ts';
import { frontends } from './balance.ts';
import { proxyRules } from './rules.ts';

const service = (spec: object, name = 'shop'): Service =>
  ({ metadata: { name, namespace: 'default' }, spec }) as unknown as Service;
const slice = (endpoints: readonly object[], addressType = 'IPv4', name = 'shop'): EndpointSlice =>
  ({
    metadata: { name: `${name}-x`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
    addressType,
    endpoints,
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  }) as unknown as EndpointSlice;
const ports = [{ name: 'http', port: 80, protocol: 'TCP' }];

test('a cluster address leads to the ready endpoints of its own family', () => {
  const found = frontends(
    [service({ clusterIPs: ['10.96.0.7', 'fd00:10:96::7'], ports })],
    [
      slice([
        { addresses: ['10.244.1.2'], conditions: { ready: true } },
        { addresses: ['10.244.1.3'], conditions: { ready: false } },
      ]),
      slice([{ addresses: ['fd00:10:244:1::2'] }], 'IPv6'),
    ],
    'node-1',
  );
  assert.deepEqual(
    found.map(({ family, backends }) => [family, backends]),
    [
      ['ipv4', [{ address: '10.244.1.2', port: 8080 }]],
      ['ipv6', [{ address: 'fd00:10:244:1::2', port: 8080 }]],
    ],
  );
});

test('endpoints that end but still serve are used only when no other is ready', () => {
  const ending = { addresses: ['10.244.1.3'], conditions: { ready: false, serving: true, terminating: true } };
  const services = [service({ clusterIPs: ['10.96.0.7'], ports })];
  assert.equal(frontends(services, [slice([ending])], 'n')[0]?.backends[0]?.address, '10.244.1.3');
  const both = frontends(services, [slice([ending, { addresses: ['10.244.1.2'] }])], 'n');
  assert.deepEqual(both[0]?.backends, [{ address: '10.244.1.2', port: 8080 }]);
});

test('headless and external-name services get no rules', () => {
  assert.deepEqual(
    frontends([service({ clusterIP: 'None', ports }), service({ type: 'ExternalName', ports })], [], 'n'),
    [],
  );
});

test('a node-local service uses the endpoints of this node alone', () => {
  const endpoints = [
    { addresses: ['10.244.1.2'], nodeName: 'node-1' },
    { addresses: ['10.244.2.2'], nodeName: 'node-2' },
  ];
  const found = frontends(
    [service({ clusterIPs: ['10.96.0.7'], internalTrafficPolicy: 'Local', ports })],
    [slice(endpoints)],
    'node-2',
  );
  assert.deepEqual(found[0]?.backends, [{ address: '10.244.2.2', port: 8080 }]);
});

test('a service without endpoints is refused, not left to time out', () => {
  const rules = proxyRules(frontends([service({ clusterIPs: ['10.96.0.7'], ports })], [], 'n'));
  assert.match(rules, /set dead \{\n.*\n {4}elements = \{ 10\.96\.0\.7 \. tcp \. 80 \}/);
});

test('an override replaces the endpoints of its service', () => {
  const overrides = new Map([['default/shop', [{ address: '172.18.0.1', port: 6443 }]]]);
  const found = frontends([service({ clusterIPs: ['10.96.0.1'], ports })], [], 'n', overrides);
  assert.deepEqual(found[0]?.backends, [{ address: '172.18.0.1', port: 6443 }]);
});

test('two services that claim one address give one rule, so the transaction stands', () => {
  const spec = { clusterIPs: ['10.96.0.7'], ports };
  const endpoints = [{ addresses: ['10.244.1.2'] }];
  const found = frontends(
    [service(spec, 'a'), service(spec, 'b')],
    [slice(endpoints, 'IPv4', 'a'), slice(endpoints, 'IPv4', 'b')],
    'n',
  );
  assert.equal(proxyRules(found).match(/10\.96\.0\.7 \. tcp \. 80/g)?.length, 1);
});
