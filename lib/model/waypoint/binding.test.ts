// SPDX-License-Identifier: Apache-2.0
//
// Which waypoint a service's or a pod's traffic passes, and what its author is told when it is none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeGateway } from '#lib/mesh/gateway-address.ts';
import { kubeService, namespace, pod, serviceAccount, testModel, waypointGateway } from '#lib/testkit/model.ts';
import type { KubeObject } from '../object/object.ts';

const USE = 'istio.io/use-waypoint';
const FOR = 'istio.io/waypoint-for';
const ADDRESS = '10.96.9.9';
const AT = `${ADDRESS}:15008`;
const app = { app: 'cart' };

const shop = (labels: Record<string, string> = {}): KubeObject => namespace('shop', { labels });
const service = (labels: Record<string, string> = {}, annotations: Record<string, string> = {}): KubeObject =>
  kubeService('cart', { selector: app, ip: '10.96.0.1', meta: { labels, annotations } });
const cart = (labels: Record<string, string> = {}, account = 'cart'): KubeObject =>
  pod('cart-1', { ips: ['10.0.0.1'], labels: { ...app, ...labels }, account });
const waypoint = (traffic = 'all', more: Parameters<typeof waypointGateway>[1] = {}): KubeObject =>
  waypointGateway('w', { address: ADDRESS, labels: { [FOR]: traffic }, ...more });

/** Waypoint of the service and of the pod, and the reason of the service's condition. */
function bound(...objects: KubeObject[]): [string, string, string] {
  const { model } = testModel(objects);
  const svc = model.services.get('shop/cart.shop.svc.cluster.local');
  const workload = model.workloads.get('Kubernetes//Pod/shop/cart-1');
  const condition = model.reports.get('Service shop/cart')?.conditions[0];
  return [
    svc?.waypoint === undefined ? '-' : describeGateway(svc.waypoint),
    workload?.waypoint === undefined ? '-' : describeGateway(workload.waypoint),
    condition === undefined ? '-' : `${condition.status} ${condition.reason}`,
  ];
}

/** A waypoint that admits the namespaces a selector selects. */
function selecting(selector: unknown): KubeObject {
  const gateway = waypointGateway('w', { namespace: 'edge', address: ADDRESS, labels: { [FOR]: 'all' } });
  const listeners = [
    { name: 'mesh', port: 15008, protocol: 'HBONE', allowedRoutes: { namespaces: { from: 'Selector', selector } } },
  ];
  return { ...gateway, spec: { ...gateway.spec, listeners } } as KubeObject;
}

const elsewhere = service({ [USE]: 'w', 'istio.io/use-waypoint-namespace': 'edge' });

const CASES: readonly [string, readonly KubeObject[], [string, string, string]][] = [
  ['no label', [shop(), service(), cart(), waypoint()], ['-', '-', '-']],
  ['a label on the Service', [shop(), service({ [USE]: 'w' }), cart(), waypoint()], [AT, '-', 'True WaypointAccepted']],
  ['a label on the Pod', [shop(), service(), cart({ [USE]: 'w' }), waypoint()], ['-', AT, '-']],
  [
    'a label on the Namespace',
    [shop({ [USE]: 'w' }), service(), cart(), waypoint()],
    [AT, AT, 'True WaypointAccepted'],
  ],
  [
    'a label on the ServiceAccount binds its pods and the Services made of them',
    [shop(), serviceAccount('cart', 'shop', { labels: { [USE]: 'w' } }), service(), cart(), waypoint()],
    [AT, AT, 'True WaypointAccepted'],
  ],
  [
    'a ServiceAccount does not bind a Service that others serve too',
    [
      shop(),
      serviceAccount('cart', 'shop', { labels: { [USE]: 'w' } }),
      service(),
      cart(),
      pod('cart-2', { ips: ['10.0.0.2'], labels: app, account: 'else' }),
      waypoint(),
    ],
    ['-', AT, '-'],
  ],
  [
    'a ServiceAccount beats its Namespace, an object beats both',
    [
      shop({ [USE]: 'x' }),
      serviceAccount('cart', 'shop', { labels: { [USE]: 'none' } }),
      service({ [USE]: 'w' }),
      cart(),
      waypoint(),
    ],
    [AT, '-', 'True WaypointAccepted'],
  ],
  [
    'none on the object opts out',
    [shop({ [USE]: 'w' }), service({ [USE]: 'none' }), cart({ [USE]: 'none' }), waypoint()],
    ['-', '-', '-'],
  ],
  [
    'a waypoint for services takes no pods, silently from the Namespace',
    [shop({ [USE]: 'w' }), service(), cart(), waypoint('service')],
    [AT, '-', 'True WaypointAccepted'],
  ],
  [
    'a waypoint for workloads takes no services, and says so to a label on the Service',
    [shop(), service({ [USE]: 'w' }), cart(), waypoint('workload')],
    ['-', '-', 'False UnsupportedTrafficType'],
  ],
  ['a waypoint that is missing', [shop(), service({ [USE]: 'w' }), cart()], ['-', '-', 'False WaypointIsNotReady']],
  [
    'a waypoint without an address',
    [shop(), service({ [USE]: 'w' }), waypointGateway('w')],
    ['-', '-', 'False WaypointIsNotReady'],
  ],
  [
    'a waypoint of another namespace that admits all',
    [
      shop(),
      service({ [USE]: 'w', 'istio.io/use-waypoint-namespace': 'edge' }),
      waypoint('all', { namespace: 'edge', from: 'All' }),
    ],
    [AT, '-', 'True WaypointAccepted'],
  ],
  [
    'a waypoint of another namespace that admits by expression',
    [
      shop({ team: 'a' }),
      elsewhere,
      selecting({ matchExpressions: [{ key: 'team', operator: 'In', values: ['a', 'b'] }] }),
    ],
    [AT, '-', 'True WaypointAccepted'],
  ],
  [
    'a waypoint of another namespace whose selector selects others',
    [shop({ team: 'c' }), elsewhere, selecting({ matchLabels: { team: 'a' } })],
    ['-', '-', 'False AttachmentDenied'],
  ],
  [
    'a waypoint of another namespace whose selector cannot be understood',
    [shop({ team: 'a' }), elsewhere, selecting({ matchExpressions: [{ key: 'team', operator: 'Near' }] })],
    ['-', '-', 'False AttachmentDenied'],
  ],
  [
    'a ServiceAccount with a waypoint for services leaves its pods alone, silently',
    [shop(), serviceAccount('cart', 'shop', { labels: { [USE]: 'w' } }), service(), cart(), waypoint('service')],
    [AT, '-', 'True WaypointAccepted'],
  ],
  [
    'a waypoint of another namespace that admits its own only',
    [
      shop(),
      service({ [USE]: 'w', 'istio.io/use-waypoint-namespace': 'edge' }),
      waypoint('all', { namespace: 'edge', from: 'Same' }),
    ],
    ['-', '-', 'False AttachmentDenied'],
  ],
  [
    'a host name before an address',
    [shop(), service({ [USE]: 'w' }), waypoint('all', { hostname: 'w.shop.svc.cluster.local' })],
    ['shop/w.shop.svc.cluster.local:15008', '-', 'True WaypointAccepted'],
  ],
  [
    "a waypoint's own Service and Pods have none",
    [
      shop({ [USE]: 'w' }),
      service({ 'gateway.istio.io/managed': 'istio.io-mesh-controller' }),
      cart({ 'gateway.networking.k8s.io/gateway-name': 'w', 'gateway.istio.io/managed': 'istio.io-mesh-controller' }),
      waypoint(),
    ],
    ['-', '-', '-'],
  ],
];

for (const [what, objects, want] of CASES) test(what, () => assert.deepEqual(bound(...objects), want));

test('a canary waypoint takes its share, a bad one leaves the primary in place', () => {
  const canary = (weight: string, name = 'c') => {
    const { model } = testModel([
      shop(),
      service({ [USE]: 'w', 'istio.io/use-waypoint-canary': name }, { 'istio.io/use-waypoint-canary-weight': weight }),
      waypoint(),
      waypointGateway('c', { address: '10.96.9.8' }),
    ]);
    const svc = model.services.get('shop/cart.shop.svc.cluster.local')!;
    const condition = model.reports.get('Service shop/cart')?.conditions[0];
    return [svc.weightedWaypoints.map((one) => one.weight), describeGateway(svc.waypoint!), condition?.reason];
  };
  assert.deepEqual(canary('30'), [[70, 30], AT, 'WaypointAccepted']);
  assert.deepEqual(canary('101'), [[], AT, 'CanaryInvalidWeight']);
  assert.deepEqual(canary('30', 'w'), [[], AT, 'CanarySameAsPrimary']);
});

test('a report is taken back when the waypoint appears', () => {
  const live = testModel([shop(), service({ [USE]: 'w' })]);
  assert.equal(live.model.reports.get('Service shop/cart')?.problems[0]?.code, 'WaypointNotBound');
  live.apply(waypoint());
  assert.deepEqual(live.model.reports.get('Service shop/cart')?.problems, []);
});

test('a waypoint behind the node proxy gets its pods an application tunnel', () => {
  const { model } = testModel([
    shop(),
    cart({ 'gateway.networking.k8s.io/gateway-name': 'w' }),
    waypoint('all', { annotations: { 'ambient.istio.io/waypoint-inbound-binding': 'PROXY/15088' } }),
  ]);
  assert.deepEqual(model.workloads.get('Kubernetes//Pod/shop/cart-1')?.applicationTunnel, {
    protocol: 'proxy',
    port: 15088,
  });
});

test('the policy that lets a waypoint in is made and bound when asked for', () => {
  const { model } = testModel([shop({ [USE]: 'w' }), cart(), waypoint()], { autoAllowWaypoints: true });
  const key = 'shop/istio_allow_waypoint_shop_w';
  assert.equal(model.policies.get(key)?.action, 'allow');
  assert.deepEqual(model.workloads.get('Kubernetes//Pod/shop/cart-1')?.authorizationPolicies, [key]);
});
