// SPDX-License-Identifier: Apache-2.0
//
// What runs for a Gateway, and what Gateways and their classes are told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kubeService, namespace, pod, type TestModel, testModel } from '#lib/testkit/model.ts';
import type { KubeObject } from '../object/object.ts';
import type { Gateway } from '../waypoint/gateway.ts';
import type { PlannedObject } from './render.ts';

const API = 'gateway.networking.k8s.io/v1';
const HBONE = { name: 'mesh', port: 15008, protocol: 'HBONE' };

function gateway(spec: Record<string, unknown> = {}, meta: Record<string, unknown> = {}): Gateway {
  return {
    apiVersion: API,
    kind: 'Gateway',
    metadata: { name: 'w', namespace: 'shop', uid: 'uid-w', ...meta },
    spec: { gatewayClassName: 'istio-waypoint', listeners: [HBONE], ...spec },
  };
}

function configMap(name: string, data: Record<string, string>, more: Partial<KubeObject['metadata']> = {}) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'shop', ...more }, data };
}

const gatewayClass = (name: string, controllerName: string): KubeObject & { readonly spec: unknown } => ({
  apiVersion: API,
  kind: 'GatewayClass',
  metadata: { name },
  spec: { controllerName },
});

const REF = { infrastructure: { parametersRef: { group: '', kind: 'ConfigMap', name: 'more' } } };
const ownService = kubeService('w', { ip: '10.96.9.9', ports: [{ port: 15008 }] });
const ownPod = (ready: boolean) =>
  pod('w-1', { ips: ['10.0.0.9'], ready, labels: { 'gateway.networking.k8s.io/gateway-name': 'w' } });

function planned(live: TestModel, kind: PlannedObject['kind']) {
  return live.model.gateways.plans.get('shop/w')?.objects.find((object) => object.kind === kind);
}

/** Values at paths of an object. */
function at(object: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object);
}

function conditions(live: TestModel): Record<string, string> {
  const status = live.model.gateways.statuses.get('shop/w');
  return Object.fromEntries((status?.conditions ?? []).map((one) => [one.type, `${one.status} ${one.reason}`]));
}

test('a waypoint is a ServiceAccount, a Deployment and a Service, all its own', () => {
  const live = testModel([namespace('shop'), gateway()]);
  const plan = live.model.gateways.plans.get('shop/w');
  assert.deepEqual(
    plan?.objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`),
    ['ServiceAccount shop/w', 'Deployment shop/w', 'Service shop/w'],
  );
  for (const { metadata } of plan?.objects ?? []) {
    assert.equal(metadata.ownerReferences[0]?.uid, 'uid-w');
    assert.equal(metadata.labels['gateway.istio.io/managed'], 'istio.io-mesh-controller');
    assert.equal(metadata.labels['gateway.networking.k8s.io/gateway-class-name'], 'istio-waypoint');
  }
  const labels = at(planned(live, 'Deployment'), 'spec.template.metadata.labels') as Record<string, string>;
  assert.equal(labels['istio.io/dataplane-mode'], 'none');
  assert.equal(labels['gateway.networking.k8s.io/gateway-name'], 'w');
  const spec = at(planned(live, 'Deployment'), 'spec.template.spec') as Record<string, unknown>;
  assert.equal(spec['serviceAccountName'], 'w');
  const [container] = spec['containers'] as Record<string, Record<string, unknown>>[];
  const httpGet = { path: '/healthz/ready', port: 15021 };
  const { readinessProbe, startupProbe } = container!;
  assert.deepEqual(readinessProbe, { httpGet, periodSeconds: 15, timeoutSeconds: 1, failureThreshold: 4 });
  assert.deepEqual([startupProbe!['httpGet'], startupProbe!['periodSeconds']], [httpGet, 1]);
  assert.equal(startupProbe!['failureThreshold'], 30);
  assert.deepEqual(at(planned(live, 'Service'), 'spec.ports'), [
    { name: 'status-port', port: 15021, protocol: 'TCP', appProtocol: 'tcp' },
    { name: 'mesh', port: 15008, protocol: 'TCP', appProtocol: 'hbone' },
  ]);
});

test('names, account and kind of service follow annotations', () => {
  const annotations = {
    'gateway.istio.io/name-override': 'front',
    'gateway.istio.io/service-account': 'runner',
    'networking.istio.io/service-type': 'LoadBalancer',
  };
  const live = testModel([namespace('shop'), gateway({}, { annotations })]);
  assert.equal(planned(live, 'Deployment')?.metadata.name, 'front');
  assert.equal(at(planned(live, 'Deployment'), 'spec.template.spec.serviceAccountName'), 'runner');
  assert.equal(planned(live, 'ServiceAccount')?.metadata.name, 'runner');
  assert.equal(at(planned(live, 'Service'), 'spec.type'), 'LoadBalancer');
});

test('labels come from spec.infrastructure when it is there, else from the Gateway', () => {
  const labels = { team: 'a', 'gateway.networking.k8s.io/mine': 'x' };
  const own = testModel([namespace('shop'), gateway({}, { labels })]);
  assert.equal(planned(own, 'Service')?.metadata.labels['team'], 'a');
  assert.equal(planned(own, 'Service')?.metadata.labels['gateway.networking.k8s.io/mine'], undefined);
  const asked = testModel([namespace('shop'), gateway({ infrastructure: { labels: { tier: '1' } } }, { labels })]);
  assert.equal(planned(asked, 'Service')?.metadata.labels['tier'], '1');
  assert.equal(planned(asked, 'Service')?.metadata.labels['team'], undefined);
});

test('a class’s ConfigMap is merged in, then the Gateway’s, by name where things have names', () => {
  const live = testModel([
    namespace('shop'),
    gateway(REF),
    configMap(
      'defaults',
      {
        deployment: 'spec: {replicas: 2, template: {spec: {priorityClassName: high}}}',
        podDisruptionBudget: 'spec: {minAvailable: 1}',
      },
      { namespace: 'istio-system', labels: { 'gateway.istio.io/defaults-for-class': 'istio-waypoint' } },
    ),
  ]);
  live.inputs.gatewayParameters.set(
    'shop/more',
    configMap('more', {
      deployment:
        'spec: {replicas: 3, template: {spec: {containers: [{name: istio-proxy, env: [{name: A, value: b}], resources: {limits: null}}]}}}',
      horizontalPodAutoscaler: 'spec: {minReplicas: 2, maxReplicas: 5}',
    }),
  );
  const deployment = planned(live, 'Deployment');
  assert.equal(at(deployment, 'spec.replicas'), 3);
  assert.equal(at(deployment, 'spec.template.spec.priorityClassName'), 'high');
  const container = at(deployment, 'spec.template.spec.containers.0') as Record<string, unknown>;
  assert.equal(container['image'], 'ambit/waypoint:0.1.0');
  assert.deepEqual((container['env'] as { name: string }[]).at(-1), { name: 'A', value: 'b' });
  assert.deepEqual(Object.keys(container['resources'] as object), ['requests']);
  assert.equal(at(planned(live, 'HorizontalPodAutoscaler'), 'spec.maxReplicas'), 5);
  assert.equal(at(planned(live, 'PodDisruptionBudget'), 'spec.minAvailable'), 1);
});

test('the Deployment says no number of replicas, so that hands and autoscalers of anybody’s can', () => {
  const live = testModel([namespace('shop'), gateway(REF)]);
  assert.equal(at(planned(live, 'Deployment'), 'spec.replicas'), undefined);
  live.inputs.gatewayParameters.set(
    'shop/more',
    configMap('more', { horizontalPodAutoscaler: 'spec: {maxReplicas: 5}' }),
  );
  assert.equal(at(planned(live, 'Deployment'), 'spec.replicas'), undefined);
});

const BAD: readonly [string, Record<string, string> | undefined, RegExp][] = [
  ['a ConfigMap that is not there', undefined, /ConfigMap shop\/more does not exist/],
  ['an unknown key', { deployments: '{}' }, /data.deployments: is no known key; use deployment/],
  ['text that is no YAML', { deployment: 'spec: [' }, /data.deployment: not readable as YAML/],
  ['another name', { service: 'metadata: {name: x}' }, /data.service: changes metadata.name/],
];

for (const [what, data, message] of BAD) {
  test(`parameters with ${what} are refused, and what runs is left as it is`, () => {
    const live = testModel([namespace('shop'), gateway(REF)]);
    if (data !== undefined) live.inputs.gatewayParameters.set('shop/more', configMap('more', data));
    assert.deepEqual(live.model.gateways.plans.get('shop/w')?.objects, []);
    assert.deepEqual(conditions(live), { Accepted: 'False InvalidParameters', Programmed: 'False Invalid' });
    assert.match(live.model.gateways.statuses.get('shop/w')?.conditions[0]?.message ?? '', message);
  });
}

test('parameters of another kind than ConfigMap are refused', () => {
  const infrastructure = { parametersRef: { group: 'x.io', kind: 'Thing', name: 'more' } };
  const live = testModel([namespace('shop'), gateway({ infrastructure })]);
  assert.equal(conditions(live)['Accepted'], 'False InvalidParameters');
});

test('a waypoint has its addresses once a pod is ready, and keeps them', () => {
  const live = testModel([namespace('shop'), gateway(), ownService, ownPod(false)]);
  assert.equal(conditions(live)['Programmed'], 'False AddressNotAssigned');
  live.apply(ownPod(true));
  assert.equal(conditions(live)['Programmed'], 'True Programmed');
  const { addresses = [] } = live.model.gateways.statuses.get('shop/w') ?? {};
  assert.deepEqual(addresses, [
    { type: 'IPAddress', value: '10.96.9.9' },
    { type: 'Hostname', value: 'w.shop.svc.cluster.local' },
  ]);
  live.apply({ ...gateway(), status: { addresses } } as Gateway, ownPod(false));
  assert.equal(conditions(live)['Programmed'], 'True Programmed');
});

test('a listener that is no tunnel is refused by itself, not the Gateway', () => {
  const listeners = [HBONE, { name: 'web', port: 80, protocol: 'HTTP' }];
  const live = testModel([namespace('shop'), gateway({ listeners })]);
  const status = live.model.gateways.statuses.get('shop/w');
  const reasons = status?.listeners.map((one) =>
    one.conditions.map(({ type, status: is, reason }) => `${type} ${is} ${reason}`),
  );
  assert.deepEqual(reasons?.[0]?.slice(0, 2), ['Accepted True Accepted', 'Programmed True Programmed']);
  assert.deepEqual(reasons?.[1]?.slice(0, 2), ['Accepted False UnsupportedProtocol', 'Programmed False Invalid']);
  assert.equal(conditions(live)['Accepted'], 'True ListenersNotValid');
});

test('a Gateway with a host name, or several addresses, is run by its user', () => {
  const addresses = [{ type: 'Hostname', value: 'mine.shop.svc.cluster.local' }];
  const live = testModel([namespace('shop'), gateway({ addresses })]);
  assert.equal(live.model.gateways.plans.get('shop/w'), undefined);
  assert.deepEqual(live.model.gateways.statuses.get('shop/w')?.addresses, addresses);
});

test('classes are told apart by their controller, and work without the class object', () => {
  const ours = (className: string, objects: KubeObject[] = [], ownClassesOnly = false): boolean => {
    const live = testModel([namespace('shop'), gateway({ gatewayClassName: className }), ...objects], {
      ownClassesOnly,
    });
    return live.model.gateways.plans.get('shop/w') !== undefined;
  };
  assert.equal(ours('istio-waypoint'), true);
  assert.equal(ours('ambit-waypoint'), true);
  assert.equal(ours('nginx'), false);
  assert.equal(ours('mine', [gatewayClass('mine', 'istio.io/mesh-controller')]), true);
  assert.equal(ours('istio-waypoint', [gatewayClass('istio-waypoint', 'other.io/controller')]), false);
  assert.equal(ours('istio-waypoint', [], true), false);
  assert.equal(ours('ambit-waypoint', [], true), true);
});

test('a class of ours is accepted, another one is left alone', () => {
  const live = testModel([gatewayClass('a', 'ambit.dev/mesh-controller'), gatewayClass('b', 'x.io/c')]);
  assert.equal(live.model.gateways.classStatuses.get('a')?.[0]?.reason, 'Accepted');
  assert.equal(live.model.gateways.classStatuses.get('b'), undefined);
});

test('a Gateway of another revision, by its own label or its Namespace’s, is left alone', () => {
  const run = (rev: string | undefined, space: string | undefined): boolean => {
    const label = (value: string | undefined) => (value === undefined ? {} : { labels: { 'istio.io/rev': value } });
    const live = testModel([namespace('shop', label(space)), gateway({}, label(rev))], { revision: 'blue' });
    return live.model.gateways.plans.get('shop/w') !== undefined;
  };
  assert.equal(run(undefined, undefined), true);
  assert.equal(run('blue', 'green'), true);
  assert.equal(run('green', 'blue'), false);
  assert.equal(run(undefined, 'green'), false);
});

test('a Gateway that a newer controller has taken is left to it, one of an older is not', () => {
  const runs = (version?: string): boolean => {
    const annotations = version === undefined ? {} : { 'gateway.istio.io/controller-version': version };
    return (
      testModel([namespace('shop'), gateway({}, { annotations })]).model.gateways.plans.get('shop/w') !== undefined
    );
  };
  assert.deepEqual([undefined, '4', '5', '6', 'next'].map(runs), [true, true, true, false, false]);
});
