// SPDX-License-Identifier: Apache-2.0
//
// Which PeerAuthentication makes plaintext refused, told by what happens to plaintext and to tunnels.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authorize } from '#lib/mesh/authorize.ts';
import { Identity } from '#lib/mesh/identity.ts';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { ip } from '#lib/testkit/mesh.ts';
import { peerAuthentication, pod, testModel } from '#lib/testkit/model.ts';
import type { KubeObject } from '../object/object.ts';

const SYSTEM = 'istio-system';

/** Of ports 80 and 8080 of pod shop/cart: those that take plaintext. Tunnels must be let in everywhere. */
function plaintextPorts(...objects: KubeObject[]): number[] {
  const { model } = testModel([pod('cart', { ips: ['10.0.0.1'], labels: { app: 'cart' } }), ...objects]);
  const view = new MapMesh();
  for (const policy of model.policies.values()) view.putPolicy(policy);
  const [cart] = [...model.workloads.values()];
  const judge = (identity: Identity | undefined, destinationPort: number): boolean =>
    authorize(
      view,
      cart!,
      { sourceIp: ip('10.0.0.9'), identity, destinationIp: ip('10.0.0.1'), destinationPort },
      NO_PROOF,
    ).allow;
  for (const port of [80, 8080]) assert.ok(judge(new Identity('td', 'a', 'b'), port), 'tunnels are let in');
  return [80, 8080].filter((port) => judge(undefined, port));
}

const app = { app: 'cart' };
const old = { creationTimestamp: '2026-01-01T00:00:00Z' };
const young = { creationTimestamp: '2026-02-01T00:00:00Z' };

const CASES: readonly [string, readonly KubeObject[], number[]][] = [
  ['nothing set', [], [80, 8080]],
  ['mesh STRICT', [peerAuthentication('m', { mode: 'STRICT' }, SYSTEM)], []],
  ['namespace STRICT', [peerAuthentication('n', { mode: 'STRICT' })], []],
  ['a mode nobody knows', [peerAuthentication('n', { mode: 'strict' })], []],
  ['another namespace STRICT', [peerAuthentication('n', { mode: 'STRICT' }, 'depot')], [80, 8080]],
  ['workload STRICT', [peerAuthentication('w', { mode: 'STRICT', labels: app })], []],
  ['another workload STRICT', [peerAuthentication('w', { mode: 'STRICT', labels: { app: 'x' } })], [80, 8080]],
  [
    'mesh STRICT, namespace PERMISSIVE',
    [peerAuthentication('m', { mode: 'STRICT' }, SYSTEM), peerAuthentication('n', { mode: 'PERMISSIVE' })],
    [80, 8080],
  ],
  [
    'mesh STRICT, namespace DISABLE',
    [peerAuthentication('m', { mode: 'STRICT' }, SYSTEM), peerAuthentication('n', { mode: 'DISABLE' })],
    [80, 8080],
  ],
  [
    'mesh STRICT, workload UNSET',
    [peerAuthentication('m', { mode: 'STRICT' }, SYSTEM), peerAuthentication('w', { mode: 'UNSET', labels: app })],
    [],
  ],
  [
    'namespace STRICT, workload PERMISSIVE',
    [peerAuthentication('n', { mode: 'STRICT' }), peerAuthentication('w', { mode: 'PERMISSIVE', labels: app })],
    [80, 8080],
  ],
  [
    'a selector in the root namespace selects no workload',
    [peerAuthentication('m', { mode: 'STRICT', labels: app }, SYSTEM)],
    [80, 8080],
  ],
  [
    'of two, the older',
    [
      peerAuthentication('a', { mode: 'PERMISSIVE', labels: app }, 'shop', young),
      peerAuthentication('b', { mode: 'STRICT', labels: app }, 'shop', old),
    ],
    [],
  ],
  [
    'STRICT but for a port',
    [peerAuthentication('w', { mode: 'STRICT', labels: app, ports: { 80: 'PERMISSIVE' } })],
    [80],
  ],
  [
    'STRICT but for a disabled port',
    [peerAuthentication('w', { mode: 'STRICT', labels: app, ports: { 80: 'DISABLE' } })],
    [80],
  ],
  [
    'STRICT but for two ports',
    [peerAuthentication('w', { mode: 'STRICT', labels: app, ports: { 80: 'PERMISSIVE', 8080: 'DISABLE' } })],
    [80, 8080],
  ],
  [
    'PERMISSIVE but for a port',
    [peerAuthentication('w', { mode: 'PERMISSIVE', labels: app, ports: { 80: 'STRICT' } })],
    [8080],
  ],
  ['UNSET with a strict port', [peerAuthentication('w', { labels: app, ports: { 80: 'STRICT' } })], [8080]],
  [
    'UNSET under STRICT with an open port',
    [
      peerAuthentication('n', { mode: 'STRICT' }),
      peerAuthentication('w', { labels: app, ports: { 80: 'PERMISSIVE', 8080: 'UNSET' } }),
    ],
    [80],
  ],
  [
    'UNSET under STRICT with a strict port',
    [peerAuthentication('n', { mode: 'STRICT' }), peerAuthentication('w', { labels: app, ports: { 80: 'STRICT' } })],
    [],
  ],
];

for (const [what, objects, open] of CASES) {
  test(`${what}: plaintext is taken on ${open.length === 0 ? 'no port' : open.join(' and ')}`, () => {
    assert.deepEqual(plaintextPorts(...objects), open);
  });
}

test('names and order of bound policies are those Istio uses', () => {
  const { model } = testModel([
    pod('cart', { ips: ['10.0.0.1'], labels: app }),
    peerAuthentication('w', { mode: 'STRICT', labels: app, ports: { 80: 'DISABLE' } }),
  ]);
  assert.deepEqual([...model.policies.snapshot().keys()].sort(), [
    'istio-system/istio_converted_static_strict',
    'shop/converted_peer_authentication_w',
  ]);
  assert.deepEqual([...model.workloads.values()][0]?.authorizationPolicies, ['shop/converted_peer_authentication_w']);
});
