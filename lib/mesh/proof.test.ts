// SPDX-License-Identifier: Apache-2.0
//
// Proofs as operators read them. Word for word on purpose: whoever changes a sentence looks at it in its context.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ip, mesh } from '#lib/testkit/mesh.ts';
import { authorize } from './authorize.ts';
import { Identity } from './identity.ts';
import { resolveOutbound } from './outbound.ts';
import { formatProof, recordProof } from './proof.ts';
import { accessText, outboundText } from './reason.ts';

const CART = 'shop/cart.shop.svc.cluster.local';
const view = mesh({
  services: [{ name: 'cart', namespace: 'shop', vips: ['10.96.0.1'], ports: { 80: 0 } }],
  workloads: [
    { name: 'front', namespace: 'shop', ips: ['10.1.0.1'], node: 'n1', serviceAccount: 'front' },
    { name: 'cart-1', namespace: 'shop', ips: ['10.2.0.1'], node: 'n2', serves: { [CART]: { 80: 8080 } } },
    { name: 'cart-2', namespace: 'shop', ips: ['10.2.0.2'], healthy: false, serves: { [CART]: { 80: 8080 } } },
    { name: 'cart-3', namespace: 'shop', ips: ['10.2.0.3'], serves: { [CART]: {} } },
  ],
  policies: [
    {
      name: 'deny-reviews',
      namespace: 'shop',
      action: 'deny',
      rules: [[[{ destinationPorts: [8080] }], [{ principals: ['cluster.local/ns/shop/sa/reviews'] }]]],
    },
    { name: 'allow-front', namespace: 'shop', rules: [[[{ principals: ['cluster.local/ns/shop/sa/front'] }]]] },
  ],
});
const front = view.workloadByUid('Kubernetes//Pod/shop/front')!;
const cart = view.workloadByUid('Kubernetes//Pod/shop/cart-1')!;
const options = { network: '', clusterRanges: [], unknownCluster: 'pass' } as const;

test('the way of a connection to a service', () => {
  const rec = recordProof();
  const flow = { source: front, ip: ip('10.96.0.1'), port: 80, tried: [], waited: false };
  const verdict = resolveOutbound(view, flow, options, () => 0, rec);
  assert.equal(outboundText(verdict), 'HBONE to shop/cart-1 for 10.2.0.1:8080');
  assert.deepEqual(formatProof(rec.steps), [
    'Destination 10.96.0.1:80: is a virtual address of Service shop/cart',
    'Service shop/cart, waypoint: none is bound',
    'Service shop/cart, port 80: endpoints, any of them: 1 of 3 may be chosen',
    '  Workload shop/cart-1: may be chosen (node n2, weight 1)',
    '  Workload shop/cart-2: left out: not ready',
    '    → would change if: the Pod becomes Ready',
    '  Workload shop/cart-3: left out: no container port stands behind service port 80',
    "    → would change if: the Pod has a container port of the name in the Service's targetPort",
    'Workload shop/cart-1, protocol: HBONE: tunnel to 10.2.0.1:15008, authority 10.2.0.1:8080, peer must be spiffe://cluster.local/ns/shop/sa/default',
  ]);
});

function judge(account: string): string[] {
  const rec = recordProof();
  const identity = new Identity('cluster.local', 'shop', account);
  const flow = { sourceIp: ip('10.1.0.1'), identity, destinationIp: ip('10.2.0.1'), destinationPort: 8080 };
  const verdict = authorize(view, cart, flow, rec);
  return [accessText(verdict), ...formatProof(rec.steps)];
}

test('a denial names policy, rule and clause', () => {
  assert.deepEqual(judge('reviews'), [
    'explicitly denied by AuthorizationPolicy shop/deny-reviews, rule 1: destination port 8080; source principal cluster.local/ns/shop/sa/reviews',
    'AuthorizationPolicy shop/deny-reviews, rule 1: DENY: matches: destination port 8080; source principal cluster.local/ns/shop/sa/reviews',
    '  → would change if: rule 1 of AuthorizationPolicy shop/deny-reviews excepts this connection or goes away',
  ]);
});

test('a permission that is missing says which rule would give it', () => {
  assert.deepEqual(judge('other'), [
    'denied: allow policies exist, but none allowed it',
    'AuthorizationPolicy shop/deny-reviews: DENY: its rule does not match',
    '  Rule 1: wants source principal cluster.local/ns/shop/sa/reviews: but the peer is cluster.local/ns/shop/sa/other',
    'AuthorizationPolicy shop/allow-front: ALLOW: its rule does not match',
    '  Rule 1: wants source principal cluster.local/ns/shop/sa/front: but the peer is cluster.local/ns/shop/sa/other',
    'Workload shop/cart-1: ALLOW policies: there are some and none matches, so the connection is denied',
    '  → would change if: a rule of AuthorizationPolicy shop/allow-front allows principal cluster.local/ns/shop/sa/other on port 8080',
  ]);
});
