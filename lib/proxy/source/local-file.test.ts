// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { formatProblem } from '#lib/kit/result.ts';
import { policy, service, workload } from '#lib/testkit/mesh.ts';
import { dumpPolicy, dumpService, dumpWorkload } from '../admin/dump.ts';
import { readLocalMesh } from './local-file.ts';

const read = (value: unknown) => readLocalMesh(typeof value === 'string' ? value : stringify(value), 'Kubernetes');

test('the file of a benchmark pair is read', () => {
  const mesh = read(`
workloads:
- {uid: c//Pod/default/a, name: a, namespace: default, serviceAccount: a, workloadIps: [10.0.0.1], protocol: HBONE, node: n, network: "", services: {}}
policies: []
services: []
`);
  assert.ok(mesh.ok);
  const [one] = mesh.value.workloads;
  assert.equal(one!.protocol, 'hbone');
  assert.equal(one!.addresses[0]!.text, '10.0.0.1');
  assert.equal(one!.trustDomain, 'cluster.local');
});

test('what the dump writes is what the file reads, for workloads, services and policies', () => {
  const full = workload({
    name: 'cart',
    namespace: 'shop',
    serviceAccount: 'cart',
    trustDomain: 'td',
    ips: ['10.0.0.1', 'fd00::1'],
    network: 'net',
    node: 'n',
    waypoint: 'net|10.0.0.9:15008',
    networkGateway: 'shop/gateway.shop:15008',
    applicationTunnel: { protocol: 'proxy', port: 7 },
    authorizationPolicies: ['shop/x'],
    healthy: false,
    locality: { region: 'r', zone: 'z', subzone: 's' },
    hostNetwork: true,
    capacity: 3,
    nativeTunnel: true,
    sameNodeTunnel: true,
    httpMetrics: true,
    workloadType: 'job',
  });
  const own = service({
    name: 'cart',
    namespace: 'shop',
    vips: ['net|10.1.0.1', 'net|10.2.0.0/24'],
    ports: { 80: 8080, 443: 0 },
    subjectAltNames: ['spiffe://td/ns/shop/sa/cart'],
    waypoint: 'shop/waypoint.shop:15008',
    ipFamilies: 'dual',
    visibility: 'namespace',
    loadBalancing: { mode: 'failover', scopes: ['region', 'node'], allowUnhealthy: true },
    weightedWaypoints: [{ address: '10.0.0.7:15008', weight: 4 }],
  });
  const rule = policy({
    name: 'x',
    namespace: 'shop',
    scope: 'selector',
    action: 'deny',
    dryRun: true,
    rules: [
      [
        [
          {
            principals: ['a', 'b*', '*c', '*'],
            sourceIps: ['10.0.0.0/8'],
            serviceAccounts: ['n/s'],
            destinationPorts: [80],
          },
        ],
      ],
    ],
  });
  const mesh = read({
    workloads: [{ ...(dumpWorkload(full) as object), services: { 'shop/cart.shop': { 80: 8080 } } }],
    services: [dumpService(own, [])],
    policies: [dumpPolicy(rule)],
  });
  assert.ok(mesh.ok, mesh.ok ? '' : mesh.problems.map(formatProblem).join('\n'));
  const { workloads, services, policies } = mesh.value;
  assert.deepEqual(workloads[0], {
    ...full,
    services: new Map([['shop/cart.shop', [{ servicePort: 80, targetPort: 8080 }]]]),
  });
  const byPort = [...own.ports].sort((a, b) => a.servicePort - b.servicePort);
  assert.deepEqual(services[0], { ...own, ports: byPort });
  assert.deepEqual(policies[0], rule);
});

test('every mistake is named with its place', () => {
  const mesh = read({
    workloads: [{ name: 'a', workloadIps: ['10.0.0'], protocol: 'QUIC', waypoint: { destination: 'nowhere' } }],
    services: [{ namespace: 'shop', ports: { 80: 'x' } }],
    policies: [{ name: 'p', namespace: 'shop', rules: [[[{ sourceIps: ['10/x'], principals: ['a'] }]]] }],
  });
  assert.ok(!mesh.ok);
  const text = mesh.problems.map(formatProblem).join('\n');
  for (const part of [
    'workloads[0].uid: is missing',
    'workloads[0].workloadIps: "10.0.0" is no IP address',
    'workloads[0].protocol: "QUIC" is unknown; write one of HBONE, TCP',
    'workloads[0].waypoint.destination',
    'services[0].hostname: is missing',
    'services[0].ports.80',
    'policies[0].rules[0][0][0].sourceIps',
    'policies[0].rules[0][0][0].principals',
  ])
    assert.ok(text.includes(part), `${part} missing in\n${text}`);
  assert.equal(read('{').ok, false);
  assert.equal(read('').ok, true);
});
