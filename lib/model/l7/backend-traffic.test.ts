// SPDX-License-Identifier: Apache-2.0
//
// XBackendTrafficPolicies: what waypoints are told, and what authors are.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { RetryBudget } from '#lib/mesh/http/traffic-policy.ts';
import { kubeService, namespace, type TestModel, testModel, waypointGateway } from '#lib/testkit/model.ts';
import type { KubeObject } from '../object/object.ts';
import { TRAFFIC_POLICY } from './resource.ts';

const CART = 'shop/cart.shop.svc.cluster.local';
const ON = { alphaGatewayApi: true };
const WORLD: readonly KubeObject[] = [
  namespace('shop'),
  waypointGateway('w', { hostname: 'w.shop.svc.cluster.local' }),
  kubeService('cart', {
    selector: { app: 'cart' },
    ip: '10.96.0.4',
    ports: [{ name: 'web', port: 80 }],
    meta: { labels: { 'istio.io/use-waypoint': 'w' } },
  }),
];
const TARGET = { group: '', kind: 'Service', name: 'cart' };

function policy(name: string, spec: object, created = '2026-01-01T00:00:00Z'): KubeObject {
  return {
    apiVersion: 'gateway.networking.x-k8s.io/v1alpha1',
    kind: 'XBackendTrafficPolicy',
    metadata: { name, namespace: 'shop', creationTimestamp: created },
    spec: { targetRefs: [TARGET], ...spec },
  } as KubeObject;
}

const rule = (trafficPolicy: object, subsets: readonly object[] = []): KubeObject =>
  ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'dr', namespace: 'shop' },
    spec: { host: 'cart', trafficPolicy, subsets },
  }) as KubeObject;

/** Budgets by subset of the traffic policy that waypoint w has for the cart. */
function told(live: TestModel): Record<string, RetryBudget | undefined> {
  const type = live.model.layer7.types.find(({ typeUrl }) => typeUrl === TRAFFIC_POLICY.typeUrl);
  const found = [...(type?.resources.values() ?? [])].find(({ resource }) => resource.name === CART);
  if (found === undefined) return {};
  const read = TRAFFIC_POLICY.decode(found.resource.bytes);
  ok(read.ok);
  return Object.fromEntries(read.value.upstreams.map(({ retryBudget, subset }) => [subset, retryBudget]));
}

/** `Type=Status/Reason` of each ancestor, by its kind and name. */
function statusOf(live: TestModel, name: string): Record<string, string[]> {
  const { ancestors = [] } = live.model.layer7.backendTrafficStatuses.get(`shop/${name}`) ?? {};
  return Object.fromEntries(
    ancestors.map(({ conditions, ref }) => [
      `${ref.kind} ${ref.name}`,
      conditions.map(({ reason, status, type }) => `${type}=${status}/${reason}`),
    ]),
  );
}

const GOOD = ['Accepted=true/Accepted'];

test('a retry budget: a share within an interval, and a least rate, with the API’s defaults', () => {
  const live = testModel([...WORLD, policy('p', { retryConstraint: {} })], ON);
  deepEqual(told(live)[''], { percent: 20, minConcurrency: 100, intervalMs: 10_000 });
  deepEqual(statusOf(live, 'p'), { 'Service cart': GOOD, 'Gateway w': GOOD });
  live.apply(
    policy('p', {
      retryConstraint: { budget: { percent: 5, interval: '2s' }, minRetryRate: { count: 3, interval: '500ms' } },
    }),
  );
  deepEqual(told(live)[''], { percent: 5, minConcurrency: 12, intervalMs: 2000 });
  live.remove(policy('p', {}));
  deepEqual(told(live), {});
});

test('alpha kinds count only where they are switched on', () => {
  const live = testModel([...WORLD, policy('p', { retryConstraint: {} })]);
  deepEqual(told(live), {});
  equal(live.model.layer7.backendTrafficStatuses.get('shop/p'), undefined);
});

test('a DestinationRule’s own budget counts before, and the policy’s where it has none, in every subset', () => {
  const subset = (name: string, trafficPolicy: object) => ({ name, labels: { version: name }, trafficPolicy });
  const own = { retryBudget: { percent: 50 } };
  const live = testModel(
    [...WORLD, rule({}, [subset('v1', own), subset('v2', {})]), policy('p', { retryConstraint: {} })],
    ON,
  );
  const budgets = told(live);
  deepEqual([budgets['']?.percent, budgets['v1']?.percent, budgets['v2']?.percent], [20, 50, 20]);
});

test('of policies for one target the oldest counts, and the others are told so; so is one without its target', () => {
  const nobody = policy('gone', { targetRefs: [{ ...TARGET, name: 'nobody' }], retryConstraint: {} });
  const live = testModel(
    [
      ...WORLD,
      policy('young', { retryConstraint: { budget: { percent: 90 } } }, '2026-02-01T00:00:00Z'),
      policy('old', { retryConstraint: { budget: { percent: 10 } } }),
      nobody,
    ],
    ON,
  );
  equal(told(live)['']?.percent, 10);
  deepEqual(statusOf(live, 'young')['Service cart'], ['Accepted=false/Conflicted']);
  deepEqual(statusOf(live, 'old')['Service cart'], GOOD);
  deepEqual(statusOf(live, 'gone'), { 'Service nobody': ['Accepted=false/TargetNotFound'] });
});

test('session persistence, or what cannot be read, is not accepted, and nothing of such a policy counts', () => {
  for (const spec of [
    { retryConstraint: {}, sessionPersistence: { sessionName: 's' } },
    { retryConstraint: { budget: { interval: 'soon' } } },
    { retryConstraint: { minRetryRate: { interval: '0s' } } },
  ]) {
    const live = testModel([...WORLD, policy('p', spec)], ON);
    deepEqual(told(live), {});
    deepEqual(statusOf(live, 'p')['Service cart'], ['Accepted=false/Invalid']);
  }
});
