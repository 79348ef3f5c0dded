// SPDX-License-Identifier: Apache-2.0
//
// What the author of a policy is told about the objects that it is attached to, or selects.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  authorizationPolicy,
  kubeService,
  pod,
  serviceEntry,
  testModel,
  waypointGateway,
  workloadEntry,
} from '#lib/testkit/model.ts';
import type { KubeObject } from '../object/object.ts';
import type { TargetRef } from '../policy/authorization-spec.ts';

const USE = { labels: { 'istio.io/use-waypoint': 'w' } };
const WAYPOINT = waypointGateway('w', { address: '10.96.9.9' });
const ENTRY: TargetRef = { kind: 'ServiceEntry', group: 'networking.istio.io', name: 'api' };
const SERVICE: TargetRef = { kind: 'Service', group: '', name: 'cart' };
const CLASS: TargetRef = { kind: 'GatewayClass', group: 'gateway.networking.k8s.io', name: 'istio-waypoint' };
const entry = (meta = {}): KubeObject => serviceEntry('api', { hosts: ['api.test'], resolution: 'DNS' }, 'shop', meta);
const gatewayClass = (controllerName: string): KubeObject =>
  ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: { name: 'istio-waypoint' },
    spec: { controllerName },
  }) as KubeObject;

function condition(targetRefs: readonly TargetRef[], objects: readonly KubeObject[], within = 'shop'): string {
  const { model } = testModel([authorizationPolicy('p', { rules: [{}], targetRefs }, within), ...objects]);
  const [only] = model.reports.get(`AuthorizationPolicy ${within}/p`)?.conditions ?? [];
  return `${only?.type} ${only?.status} ${only?.reason}`;
}

test('a policy for a Service or a ServiceEntry is bound when that has a waypoint', () => {
  assert.equal(condition([ENTRY], [entry(USE), WAYPOINT]), 'WaypointAccepted True Accepted');
  assert.equal(condition([ENTRY], [entry(), WAYPOINT]), 'WaypointAccepted False AncestorNotBound');
  assert.equal(condition([ENTRY], [WAYPOINT]), 'WaypointAccepted False TargetNotFound');
  assert.equal(condition([SERVICE], [kubeService('cart', { meta: USE }), WAYPOINT]), 'WaypointAccepted True Accepted');
  assert.equal(condition([SERVICE], [kubeService('cart')]), 'WaypointAccepted False AncestorNotBound');
});

test('of several targets those that are not bound are named, and the rest counts', () => {
  assert.equal(condition([ENTRY, SERVICE], [entry(USE), WAYPOINT]), 'WaypointAccepted True PartiallyInvalid');
});

test('a policy for a class of waypoints belongs in the root namespace', () => {
  const ours = gatewayClass('istio.io/mesh-controller');
  assert.equal(condition([CLASS], [ours], 'istio-system'), 'WaypointAccepted True Accepted');
  assert.equal(condition([CLASS], [ours], 'shop'), 'WaypointAccepted False Invalid');
  assert.equal(
    condition([CLASS], [gatewayClass('example.com/other')], 'istio-system'),
    'WaypointAccepted False Invalid',
  );
  assert.equal(condition([CLASS], [], 'istio-system'), 'WaypointAccepted False TargetNotFound');
});

test('a selector that selects nobody is told, and machines count as somebody', () => {
  const policy = authorizationPolicy('p', { rules: [{}], selector: { matchLabels: { app: 'db' } } });
  const codes = (...objects: KubeObject[]): string[] =>
    (testModel([policy, ...objects]).model.reports.get('AuthorizationPolicy shop/p')?.problems ?? []).map(
      ({ code }) => code,
    );
  assert.deepEqual(codes(), ['NothingSelected']);
  assert.deepEqual(codes(pod('db-1', { labels: { app: 'db' } })), []);
  assert.deepEqual(codes(workloadEntry('db-1', { address: '192.0.2.1', labels: { app: 'db' } })), []);
});
