// SPDX-License-Identifier: Apache-2.0
//
// BackendTLSPolicies and credentials of DestinationRules: what waypoints are told, and what authors are.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UpstreamTls } from '#lib/mesh/http/traffic-policy.ts';
import { createTestCa } from '#lib/testkit/certificates.ts';
import { kubeService, namespace, type TestModel, testModel, waypointGateway } from '#lib/testkit/model.ts';
import type { KubeObject } from '../object/object.ts';
import { TRAFFIC_POLICY } from './resource.ts';

const CART = 'shop/cart.shop.svc.cluster.local';
const PEM = (await createTestCa()).rootPem;

const WORLD: readonly KubeObject[] = [
  namespace('shop'),
  waypointGateway('w', { hostname: 'w.shop.svc.cluster.local' }),
  kubeService('cart', {
    selector: { app: 'cart' },
    ip: '10.96.0.4',
    ports: [
      { name: 'web', port: 80 },
      { name: 'other', port: 81 },
    ],
    meta: { labels: { 'istio.io/use-waypoint': 'w' } },
  }),
];

interface Options {
  readonly created?: string;
  readonly annotations?: Record<string, string>;
}

function policy(
  name: string,
  targets: readonly object[],
  validation: object,
  { annotations = {}, created = '2026-01-01T00:00:00Z' }: Options = {},
): KubeObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'BackendTLSPolicy',
    metadata: { name, namespace: 'shop', creationTimestamp: created, annotations },
    spec: { targetRefs: targets, validation },
  } as KubeObject;
}

const rule = (trafficPolicy: object, subsets: readonly object[] = []): KubeObject =>
  ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'dr', namespace: 'shop' },
    spec: { host: 'cart', trafficPolicy, subsets },
  }) as KubeObject;

const SERVICE = { group: '', kind: 'Service', name: 'cart' };
const AUTHORITIES = { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }], hostname: 'cart.example' };

/** TLS by `subset:port` of the traffic policy that waypoint w has for the cart. */
function told(live: TestModel): Record<string, UpstreamTls | undefined> {
  const type = live.model.layer7.types.find(({ typeUrl }) => typeUrl === TRAFFIC_POLICY.typeUrl);
  const [found] = [...(type?.resources.values() ?? [])].filter(({ resource }) => resource.name === CART);
  if (found === undefined) return {};
  const read = TRAFFIC_POLICY.decode(found.resource.bytes);
  assert.ok(read.ok);
  return Object.fromEntries(read.value.upstreams.map(({ port, subset, tls }) => [`${subset}:${port}`, tls]));
}

/** `Type=Status/Reason` of each ancestor, by its kind, name and section. */
function statusOf(live: TestModel, name: string): Record<string, string[]> {
  const { ancestors = [] } = live.model.layer7.policyStatuses.get(`shop/${name}`) ?? {};
  return Object.fromEntries(
    ancestors.map(({ conditions, ref }) => [
      [ref.kind, ref.name, ref.sectionName].filter((part) => part !== undefined).join(' '),
      conditions.map(({ reason, status, type }) => `${type}=${status}/${reason}`),
    ]),
  );
}

const GOOD = ['Accepted=true/Accepted', 'ResolvedRefs=true/ResolvedRefs'];

test('a BackendTLSPolicy is the TLS of its service: host name, authorities, names', () => {
  const names = [
    { type: 'Hostname', hostname: 'a.example' },
    { type: 'URI', uri: 'spiffe://x/y' },
  ];
  const live = testModel([...WORLD, policy('tls', [SERVICE], { ...AUTHORITIES, subjectAltNames: names })]);
  assert.deepEqual([...live.model.layer7.wantedData.values()], [{ kind: 'ConfigMap', key: 'shop/ca' }]);
  live.inputs.namedData.set('ConfigMap shop/ca', { 'ca.crt': PEM });
  const tls = told(live)[':0'];
  assert.deepEqual(
    [tls?.sni, tls?.subjectAltNames, Buffer.from(tls?.caCertificates ?? []).toString(), tls?.invalid, tls?.systemRoots],
    ['cart.example', ['a.example', 'spiffe://x/y'], PEM, '', false],
  );
  assert.deepEqual(statusOf(live, 'tls'), { 'Service cart': GOOD, 'Gateway w': GOOD });
  live.remove(policy('tls', [], {}));
  assert.deepEqual(told(live), {});
});

test('the system’s authorities serve where they are asked for', () => {
  const live = testModel([
    ...WORLD,
    policy('tls', [SERVICE], { wellKnownCACertificates: 'System', hostname: 'cart.example' }),
  ]);
  assert.equal(told(live)[':0']?.systemRoots, true);
  assert.deepEqual(statusOf(live, 'tls')['Service cart'], GOOD);
});

test('a port’s own policy counts before the service’s, with every subset, and a DestinationRule’s own TLS before both', () => {
  const system = (hostname: string): object => ({ wellKnownCACertificates: 'System', hostname });
  const both = [
    policy('all', [SERVICE], system('all.example')),
    policy('web', [{ ...SERVICE, sectionName: 'web' }], system('web.example')),
  ];
  const subsets = [{ name: 'v1', labels: { version: 'v1' } }];
  const live = testModel([...WORLD, ...both, rule({ loadBalancer: { simple: 'RANDOM' } }, subsets)]);
  const names = (): Record<string, string | undefined> =>
    Object.fromEntries(Object.entries(told(live)).map(([place, tls]) => [place, tls?.sni]));
  assert.deepEqual(names(), {
    ':0': 'all.example',
    ':80': 'web.example',
    'v1:0': 'all.example',
    'v1:80': 'web.example',
  });
  live.apply(rule({ tls: { mode: 'SIMPLE', sni: 'rule.example' } }));
  assert.deepEqual(names(), { ':0': 'rule.example', ':80': 'rule.example' });
});

test('of policies for one target the oldest counts, the others are told so', () => {
  const old = policy(
    'z-old',
    [SERVICE],
    { wellKnownCACertificates: 'System', hostname: 'old.example' },
    { created: '2025-01-01T00:00:00Z' },
  );
  const young = policy('a-young', [SERVICE, { ...SERVICE, sectionName: 'web' }], {
    wellKnownCACertificates: 'System',
    hostname: 'young.example',
  });
  const live = testModel([...WORLD, young, old]);
  assert.deepEqual([told(live)[':0']?.sni, told(live)[':80']?.sni], ['old.example', 'young.example']);
  assert.deepEqual(statusOf(live, 'z-old')['Service cart'], GOOD);
  assert.deepEqual(statusOf(live, 'a-young')['Service cart'], ['Accepted=false/Conflicted', GOOD[1]]);
  assert.deepEqual(statusOf(live, 'a-young')['Service cart web'], GOOD);
});

const BAD: readonly (readonly [
  name: string,
  validation: object,
  data: string | undefined,
  status: readonly string[],
])[] = [
  [
    'no such ConfigMap',
    AUTHORITIES,
    undefined,
    ['Accepted=false/NoValidCACertificate', 'ResolvedRefs=false/InvalidCACertificateRef'],
  ],
  [
    'no certificate in it',
    AUTHORITIES,
    'nonsense',
    ['Accepted=false/NoValidCACertificate', 'ResolvedRefs=false/InvalidCACertificateRef'],
  ],
  [
    'a damaged certificate in it',
    AUTHORITIES,
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
    ['Accepted=false/NoValidCACertificate', 'ResolvedRefs=false/InvalidCACertificateRef'],
  ],
  [
    'a kind that holds none',
    { caCertificateRefs: [{ group: '', kind: 'Service', name: 'ca' }], hostname: 'h' },
    PEM,
    ['Accepted=false/NoValidCACertificate', 'ResolvedRefs=false/InvalidKind'],
  ],
  ['no authorities at all', { hostname: 'h' }, PEM, ['Accepted=false/Invalid', 'ResolvedRefs=true/ResolvedRefs']],
];
for (const [name, validation, data, status] of BAD) {
  test(`without authorities that can be had connections fail, and nothing goes in clear: ${name}`, () => {
    const live = testModel([...WORLD, policy('tls', [SERVICE], validation)]);
    if (data !== undefined) live.inputs.namedData.set('ConfigMap shop/ca', { 'ca.crt': data });
    assert.deepEqual(statusOf(live, 'tls')['Service cart'], status);
    assert.match(told(live)[':0']?.invalid ?? '', /^BackendTLSPolicy shop\/tls: /);
  });
}

test('a target that is not there is told of, and a policy may ask to be ignored', () => {
  const system = { wellKnownCACertificates: 'System', hostname: 'h' };
  const lost = [
    { ...SERVICE, name: 'gone' },
    { ...SERVICE, sectionName: 'nowhere' },
    { ...SERVICE, kind: 'Pod' },
  ];
  const live = testModel([...WORLD, policy('lost', lost, system)]);
  assert.deepEqual(
    Object.values(statusOf(live, 'lost')).map(([accepted]) => accepted),
    Array(3).fill('Accepted=false/TargetNotFound'),
  );
  assert.deepEqual(told(live), {});
  live.apply(policy('off', [SERVICE], system, { annotations: { 'istio.io/ignore-policy-attachment': 'true' } }));
  assert.deepEqual([told(live), statusOf(live, 'off')], [{}, {}]);
});

test('a DestinationRule’s credential is read by its name, in either form, and followed', () => {
  const live = testModel([...WORLD, rule({ tls: { mode: 'MUTUAL', credentialName: 'cred', sni: 'h' } })]);
  assert.deepEqual([...live.model.layer7.wantedData.values()].map(({ key, kind }) => `${kind} ${key}`).sort(), [
    'Secret shop/cred',
    'Secret shop/cred-cacert',
  ]);
  assert.match(told(live)[':0']?.invalid ?? '', /Secret shop\/cred does not exist/);
  live.inputs.namedData.set('Secret shop/cred', { 'tls.crt': 'chain', 'tls.key': 'key', 'ca.crt': 'ca' });
  const parts = (): string[] => {
    const tls = told(live)[':0']!;
    return [tls.clientCertificate, tls.privateKey, tls.caCertificates].map((one) => Buffer.from(one).toString());
  };
  assert.deepEqual(parts(), ['chain', 'key', 'ca']);
  live.inputs.namedData.set('Secret shop/cred', { cert: 'chain2', key: 'key2' });
  live.inputs.namedData.set('Secret shop/cred-cacert', { cacert: 'ca2' });
  assert.deepEqual(parts(), ['chain2', 'key2', 'ca2']);
  assert.equal(told(live)[':0']?.invalid, '');
});
