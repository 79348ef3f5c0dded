// SPDX-License-Identifier: Apache-2.0
//
// What each waypoint is told: of Istio's kinds and policies, and for which of its services.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Result } from '#lib/kit/result.ts';
import { BLANK_PROVIDER } from '#lib/mesh/http/waypoint.ts';
import {
  authorizationPolicy,
  kubeService,
  namespace,
  pod,
  serviceAccount,
  type TestModel,
  testModel,
  waypointGateway,
} from '#lib/testkit/model.ts';
import type { KubeObject } from '../object/object.ts';
import {
  ACCESS_POLICY,
  REQUEST_AUTHENTICATION,
  type ResourceType,
  ROUTE_TABLE,
  TRAFFIC_POLICY,
  WAYPOINT,
  WORKLOAD_LABELS,
} from './resource.ts';

const CART = 'shop/cart.shop.svc.cluster.local';
const PAY = 'shop/pay.shop.svc.cluster.local';
const istio = (kind: string, name: string, spec: Record<string, unknown>, within = 'shop') => ({
  apiVersion: 'networking.istio.io/v1',
  kind,
  metadata: { name, namespace: within },
  spec,
});

/** Service cart behind waypoint w, pay behind v. */
const WORLD: readonly KubeObject[] = [
  namespace('shop'),
  namespace('edge'),
  waypointGateway('w', { hostname: 'w.shop.svc.cluster.local' }),
  waypointGateway('v', { hostname: 'v.shop.svc.cluster.local' }),
  service('cart', 'w'),
  service('pay', 'v'),
  pod('cart-1', { ips: ['10.0.0.1'], labels: { app: 'cart', version: 'v1' } }),
];

function service(name: string, use: string): KubeObject {
  const labels = { 'istio.io/use-waypoint': use };
  return kubeService(name, { selector: { app: name }, ip: `10.96.0.${name.length}`, meta: { labels } });
}

/** Values of a type by waypoint and name. */
function told<T>(live: TestModel, type: ResourceType<T>): Record<string, T> {
  const found = live.model.layer7.types.find(({ typeUrl }) => typeUrl === type.typeUrl);
  const entries = [...(found?.resources.values() ?? [])].map(({ resource, scope }) => {
    const value: Result<T> = type.decode(resource.bytes);
    assert.ok(value.ok);
    return [`${scope} ${resource.name}`, value.value] as const;
  });
  return Object.fromEntries(entries);
}

const names = (values: Record<string, unknown>): string[] => Object.keys(values).sort();

test('a VirtualService of the service’s namespace stands before all its ports, for its own waypoint alone', () => {
  const spec = { hosts: ['cart'], http: [{ route: [{ destination: { host: 'pay', port: { number: 80 } } }] }] };
  const live = testModel([...WORLD, istio('VirtualService', 'vs', spec)]);
  const tables = told(live, ROUTE_TABLE);
  assert.deepEqual(names(tables), [`shop/w ${CART}:80`]);
  const rule = tables[`shop/w ${CART}:80`]?.http[0]?.rules[0];
  assert.equal(rule?.origin, 'VirtualService shop/vs');
  assert.equal(rule?.backends[0]?.target?.service, PAY);
  live.remove(istio('VirtualService', 'vs', spec));
  assert.deepEqual(names(told(live, ROUTE_TABLE)), []);
});

test('a VirtualService elsewhere, for gateways only, or not exported here does not count', () => {
  const http = [{ route: [{ destination: { host: 'pay' } }] }];
  const host = 'cart.shop.svc.cluster.local';
  for (const object of [
    istio('VirtualService', 'vs', { hosts: [host], http }, 'edge'),
    istio('VirtualService', 'vs', { hosts: [host], gateways: ['edge/gw'], http }),
    istio('VirtualService', 'vs', { hosts: [host], exportTo: ['edge'], http }),
  ]) {
    assert.deepEqual(names(told(testModel([...WORLD, object]), ROUTE_TABLE)), []);
  }
});

test('a DestinationRule reaches the waypoints that send to its service, by binding or by route', () => {
  const spec = { hosts: ['cart'], http: [{ route: [{ destination: { host: 'pay', port: { number: 80 } } }] }] };
  const rule = istio('DestinationRule', 'dr', {
    host: 'pay',
    trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } } },
  });
  const live = testModel([...WORLD, rule]);
  assert.deepEqual(names(told(live, TRAFFIC_POLICY)), [`shop/v ${PAY}`]);
  live.apply(istio('VirtualService', 'vs', spec));
  assert.deepEqual(names(told(live, TRAFFIC_POLICY)), [`shop/v ${PAY}`, `shop/w ${PAY}`]);
});

test('of several DestinationRules the nearest namespace counts, the root namespace last', () => {
  const rule = (name: string, within: string, labels: string) =>
    istio(
      'DestinationRule',
      name,
      { host: 'cart.shop.svc.cluster.local', subsets: [{ name: labels, labels: {} }] },
      within,
    );
  const live = testModel([...WORLD, rule('far', 'istio-system', 'root'), rule('else', 'edge', 'no')]);
  const subsets = () => told(live, TRAFFIC_POLICY)[`shop/w ${CART}`]?.subsets.map(({ name }) => name);
  assert.deepEqual(subsets(), ['root']);
  live.apply(rule('near', 'shop', 'own'));
  assert.deepEqual(subsets(), ['own']);
});

test('of one namespace the DestinationRule of the most specific host counts, however young', () => {
  const rule = (name: string, host: string, created: string) => ({
    ...istio('DestinationRule', name, { host, subsets: [{ name, labels: {} }] }),
    metadata: { name, namespace: 'shop', creationTimestamp: created },
  });
  const live = testModel([
    ...WORLD,
    rule('wide', '*.shop.svc.cluster.local', '2026-01-01T00:00:00Z'),
    rule('young', 'cart', '2026-03-01T00:00:00Z'),
    rule('old', 'cart', '2026-02-01T00:00:00Z'),
  ]);
  const policies = told(live, TRAFFIC_POLICY);
  assert.deepEqual(
    policies[`shop/w ${CART}`]?.subsets.map(({ name }) => name),
    ['old', 'young'],
  );
  assert.deepEqual(
    policies[`shop/v ${PAY}`]?.subsets.map(({ name }) => name),
    ['wide'],
  );
});

test('labels of workloads are told where a service has subsets, and only there', () => {
  const live = testModel(WORLD);
  assert.deepEqual(names(told(live, WORKLOAD_LABELS)), []);
  live.apply(istio('DestinationRule', 'dr', { host: 'cart', subsets: [{ name: 'v1', labels: { version: 'v1' } }] }));
  const uid = 'Kubernetes//Pod/shop/cart-1';
  assert.deepEqual(told(live, WORKLOAD_LABELS), {
    [`shop/w ${uid}`]: { name: uid, labels: { app: 'cart', version: 'v1' } },
  });
});

test('a policy reaches the waypoint of its Service for that service, of its Gateway for all, of its class everywhere', () => {
  const targeted = (kind: string, group: string, name: string, within = 'shop') =>
    authorizationPolicy('p', { action: 'DENY', rules: [{}], targetRefs: [{ group, kind, name }] }, within);
  const services = (object: KubeObject) =>
    Object.fromEntries(
      Object.entries(told(testModel([...WORLD, object]), ACCESS_POLICY)).map(([key, value]) => [key, value.services]),
    );
  const gateway = 'gateway.networking.k8s.io';
  assert.deepEqual(services(targeted('Service', '', 'cart')), { 'shop/w shop/p': [CART] });
  assert.deepEqual(services(targeted('Gateway', gateway, 'v')), { 'shop/v shop/p': [] });
  const everywhere = { 'shop/v istio-system/p': [], 'shop/w istio-system/p': [] };
  assert.deepEqual(services(targeted('GatewayClass', gateway, 'istio-waypoint', 'istio-system')), everywhere);
  assert.deepEqual(services(targeted('GatewayClass', gateway, 'istio-waypoint')), {});
  assert.deepEqual(services(targeted('Service', '', 'none')), {});
  assert.deepEqual(services(authorizationPolicy('p', { action: 'DENY', rules: [{}] })), {});
});

test('a waypoint for a service account has the routes of the services that its pods serve', () => {
  const spec = { hosts: ['stock'], http: [{ route: [{ destination: { host: 'stock' } }] }] };
  const live = testModel([
    ...WORLD,
    serviceAccount('stock', 'shop', { labels: { 'istio.io/use-waypoint': 'w' } }),
    kubeService('stock', { selector: { app: 'stock' }, ip: '10.96.0.9' }),
    pod('stock-1', { ips: ['10.0.0.9'], labels: { app: 'stock' }, account: 'stock' }),
    istio('VirtualService', 'vs', spec),
  ]);
  assert.deepEqual(names(told(live, ROUTE_TABLE)), ['shop/w shop/stock.shop.svc.cluster.local:80']);
});

test('a RequestAuthentication goes to the waypoints of its targets, with the keys it holds', () => {
  const live = testModel([
    ...WORLD,
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'RequestAuthentication',
      metadata: { name: 'jwt', namespace: 'shop' },
      spec: {
        targetRefs: [{ group: '', kind: 'Service', name: 'cart' }],
        jwtRules: [
          { issuer: 'i', jwks: '{"keys":[]}', outputPayloadToHeader: 'X-P' },
          { issuer: 'j', jwksUri: 'https://j' },
        ],
      },
    } as KubeObject,
  ]);
  const values = told(live, REQUEST_AUTHENTICATION);
  assert.deepEqual(Object.keys(values), ['shop/w shop/jwt']);
  const [value] = Object.values(values);
  assert.deepEqual(value?.services, [CART]);
  assert.deepEqual(
    value?.rules.map(({ issuer, jwks, outputPayloadHeader }) => [issuer, jwks, outputPayloadHeader]),
    [
      ['i', '{"keys":[]}', 'x-p'],
      ['j', '', ''],
    ],
  );
});

test('extension providers are told with the service that has their host, and every waypoint knows how to reach it', () => {
  const provider = (name: string, service: string) =>
    ({ ...BLANK_PROVIDER, name, kind: 'ext-authz-grpc', service, port: 9000 }) as const;
  const extensionProviders = [
    provider('far', 'edge/pay.shop.svc.cluster.local'),
    provider('here', 'shop/pay'),
    provider('plain', 'pay.shop.svc.cluster.local'),
  ];
  const rule = istio('DestinationRule', 'dr', { host: 'pay', trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } });
  const live = testModel([...WORLD, rule], { extensionProviders });
  const providers = told(live, WAYPOINT)['shop/w shop/w']?.providers ?? [];
  assert.deepEqual(
    providers.map(({ name, target }) => [name, target?.service, target?.port]),
    [
      ['envoy', undefined, undefined],
      ['far', undefined, undefined],
      ['here', PAY, 9000],
      ['plain', PAY, 9000],
    ],
  );
  assert.deepEqual(names(told(live, TRAFFIC_POLICY)), [`shop/v ${PAY}`, `shop/w ${PAY}`]);
});
