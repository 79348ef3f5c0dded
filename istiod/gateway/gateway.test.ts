// SPDX-License-Identifier: Apache-2.0
// The gateway controller in a whole istiod, against a fake API.
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigMap, EventObject, GenericObject } from '#lib/kube/object.ts';
import { populate, startApp } from '#lib/testkit/istiod.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';

const GATEWAY_API = '/apis/gateway.networking.k8s.io/v1';
const GATEWAYS = `${GATEWAY_API}/gateways`;
const DEPLOYMENTS = '/apis/apps/v1/deployments';
const SERVICES = '/api/v1/services';
const AUTOSCALERS = '/apis/autoscaling/v2/horizontalpodautoscalers';
const REF = { infrastructure: { parametersRef: { group: '', kind: 'ConfigMap', name: 'more' } } };

function waypoint(spec: Record<string, unknown> = {}): GenericObject {
  const listeners = [{ name: 'mesh', port: 15008, protocol: 'HBONE' }];
  return {
    metadata: { name: 'w', namespace: 'shop', generation: 1, uid: 'uid-w' },
    spec: { gatewayClassName: 'istio-waypoint', listeners, ...spec },
  };
}

async function setUp(...objects: readonly [string, GenericObject][]) {
  const cluster = await fakeCluster();
  populate(cluster);
  for (const [collection, object] of objects) cluster.api.put(collection, object);
  const istiod = await startApp(cluster);
  const find = (collection: string, name = 'w') => cluster.api.find<GenericObject>(collection, 'shop', name);
  const writes = (pattern: RegExp) =>
    cluster.api.requests.filter(({ method, path }) => method !== 'GET' && pattern.test(path)).length;
  return {
    ...cluster,
    find,
    writes,
    async [Symbol.asyncDispose]() {
      await istiod[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

test('a waypoint Gateway is made to run and told its address, and then nothing is written any more', async () => {
  await using env = await setUp([GATEWAYS, waypoint()]);
  const deployment = await until('the Deployment', () => env.find(DEPLOYMENTS));
  await until('the Service', () => env.find(SERVICES));
  equal(deployment.metadata.ownerReferences?.[0]?.kind, 'Gateway');
  const status = await until('the status', () => env.find(GATEWAYS)?.status);
  match(JSON.stringify(status), /AddressNotAssigned/);
  env.api.put(SERVICES, {
    ...env.find(SERVICES),
    spec: { ...env.find(SERVICES)?.spec, clusterIP: '10.96.9.9', clusterIPs: ['10.96.9.9'] },
  } as GenericObject);
  env.api.put('/api/v1/pods', {
    metadata: { name: 'w-1', namespace: 'shop', labels: { 'gateway.networking.k8s.io/gateway-name': 'w' } },
    status: { podIPs: [{ ip: '10.1.0.9' }], conditions: [{ type: 'Ready', status: 'True' }] },
  } as GenericObject);
  await until('the address', () => JSON.stringify(env.find(GATEWAYS)?.status).includes('10.96.9.9'));
  const before = env.writes(/\/w(\/status)?$/);
  // Read anew with another version, and then some work that comes after it.
  env.api.put(GATEWAYS, env.find(GATEWAYS) as GenericObject);
  const second = waypoint();
  env.api.put(GATEWAYS, { ...second, metadata: { ...second.metadata, name: 'v' } });
  await until('another', () => env.find(GATEWAYS, 'v')?.status && env.find(SERVICES, 'v'));
  equal(env.writes(/\/w(\/status)?$/), before);
});

test('what somebody changes or deletes of it is put back', async () => {
  await using env = await setUp([GATEWAYS, waypoint()]);
  const service = await until('the Service', () => env.find(SERVICES));
  env.api.put(SERVICES, { ...service, spec: { ...service.spec, selector: { app: 'else' } } } as GenericObject);
  await until('the selector', () => JSON.stringify(env.find(SERVICES)?.spec).includes('gateway-name'));
  env.api.remove(DEPLOYMENTS, 'shop', 'w');
  await until('the Deployment', () => env.find(DEPLOYMENTS));
});

test('objects of the same name that are somebody else’s are left alone, and the Gateway tells', async () => {
  const foreign = { metadata: { name: 'w', namespace: 'shop' }, spec: { replicas: 7 } };
  await using env = await setUp([DEPLOYMENTS, foreign], [GATEWAYS, waypoint()]);
  const event = await until('the event', () => env.api.all<EventObject>('/api/v1/events')[0]);
  match(event.message ?? '', /Deployment shop\/w exists and was not made for this Gateway/);
  deepEqual(env.find(DEPLOYMENTS)?.spec, { replicas: 7 });
});

test('a ConfigMap of parameters is followed: what it adds appears, what it drops goes', async () => {
  const map = (data: Record<string, string>): ConfigMap => ({ metadata: { name: 'more', namespace: 'shop' }, data });
  await using env = await setUp([GATEWAYS, waypoint(REF)]);
  await until('the complaint', () => JSON.stringify(env.find(GATEWAYS)?.status ?? {}).includes('InvalidParameters'));
  equal(env.find(DEPLOYMENTS), undefined);
  env.api.put('/api/v1/configmaps', map({ horizontalPodAutoscaler: 'spec: {maxReplicas: 4}' }));
  await until('the autoscaler', () => env.find(AUTOSCALERS));
  env.api.put('/api/v1/configmaps', map({ deployment: 'spec: {replicas: 3}' }));
  await until('its end', () => env.find(AUTOSCALERS) === undefined);
  await until('the replicas', () => env.find(DEPLOYMENTS)?.spec?.['replicas'] === 3);
});

test('missing classes are created and accepted; one that is there keeps what it says', async () => {
  const CLASSES = `${GATEWAY_API}/gatewayclasses`;
  const mine = { metadata: { name: 'istio-waypoint', generation: 1 }, spec: { controllerName: 'other.io/c' } };
  await using env = await setUp([CLASSES, mine]);
  const find = (name: string) => env.api.find<GenericObject>(CLASSES, undefined, name);
  const made = await until('the class', () => find('ambit-waypoint'));
  equal(made.spec?.['controllerName'], 'ambit.dev/mesh-controller');
  await until('its condition', () => JSON.stringify(find('ambit-waypoint')?.status ?? {}).includes('Accepted'));
  equal(find('istio-waypoint')?.spec?.['controllerName'], 'other.io/c');
  equal(find('istio-waypoint')?.status, undefined);
});

test('a Gateway and a set of listeners that nothing serves are told once, and another’s word stands', async () => {
  const SETS = `${GATEWAY_API}/listenersets`;
  const listeners = [{ name: 'web', port: 80, protocol: 'HTTP' }];
  const ingress = (name: string, status?: GenericObject['status']): GenericObject => ({
    metadata: { name, namespace: 'shop', generation: 1 },
    spec: { gatewayClassName: 'istio', listeners },
    ...(status && { status }),
  });
  const set = { metadata: { name: 'more', namespace: 'shop' }, spec: { parentRef: { name: 'in' }, listeners } };
  const theirs = { conditions: [{ type: 'Accepted', status: 'True', reason: 'Accepted', message: 'by another' }] };
  await using env = await setUp([GATEWAYS, ingress('in')], [GATEWAYS, ingress('out', theirs)], [SETS, set]);
  const status = await until('the status', () => env.find(GATEWAYS, 'in')?.status);
  match(JSON.stringify(status), /"Unsupported".*nothing listens there/);
  match(JSON.stringify(await until('the set’s', () => env.find(SETS, 'more')?.status)), /ParentNotAccepted/);
  const before = env.writes(/\/(in|more|out)\/status$/);
  env.api.put(GATEWAYS, env.find(GATEWAYS, 'in') as GenericObject);
  env.api.put(GATEWAYS, waypoint());
  await until('the waypoint', () => env.find(GATEWAYS)?.status);
  equal(env.writes(/\/(in|more|out)\/status$/), before);
  deepEqual(env.find(GATEWAYS, 'out')?.status, theirs);
});
