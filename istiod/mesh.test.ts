// SPDX-License-Identifier: Apache-2.0
// What node proxies are told about the mesh, and what authors of objects are told, over the whole of istiod.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import type { EventObject, GenericObject, Pod, Service } from '#lib/kube/object.ts';
import { AuthorizationSchema } from '#lib/proto/gen/authorization_pb.ts';
import { AddressSchema, type Workload } from '#lib/proto/gen/workload_pb.ts';
import { Door } from '#lib/testkit/door.ts';
import { connect, NAMESPACES, populate, rootIn, startApp } from '#lib/testkit/istiod.ts';
import { type FakeCluster, fakeCluster } from '#lib/testkit/kube-client.ts';
import { until } from '#lib/testkit/until.ts';
import { ADDRESS_TYPE } from '#lib/xds/resource.ts';

const PODS = '/api/v1/pods';
const SERVICES = '/api/v1/services';
const POLICIES = '/apis/security.istio.io/v1/authorizationpolicies';
const PEERS = '/apis/security.istio.io/v1/peerauthentications';
const WEB = 'shop/web.shop.svc.cluster.local';

function pod(name: string, ip: string, enrolled = true): Pod {
  return {
    metadata: {
      name,
      namespace: 'shop',
      uid: `uid-${name}`,
      labels: { app: name.split('-')[0] ?? '' },
      annotations: enrolled ? { 'ambient.istio.io/redirection': 'enabled' } : {},
    },
    spec: { nodeName: 'n2', serviceAccountName: name.split('-')[0] ?? '' },
    status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

const web: Service = {
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    selector: { app: 'web' },
    clusterIP: '10.96.0.1',
    clusterIPs: ['10.96.0.1'],
    ports: [{ name: 'http', port: 80, targetPort: 8080 }],
  },
};

function policy(name: string, spec: Record<string, unknown>): GenericObject {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: 'shop', generation: 1 },
    spec,
  };
}

async function setUp() {
  const cluster = await fakeCluster();
  populate(cluster);
  cluster.api.put(PODS, pod('web-1', '10.1.2.2'));
  cluster.api.put(SERVICES, web);
  const istiod = await startApp(cluster);
  await until('the root', () => rootIn(cluster, 'istio-system'));
  const ztunnel = connect(cluster, istiod.app.ports.secureGrpc);
  await ztunnel.client.whenSynced();
  const workload = (name: string): Workload | undefined => {
    const bytes = ztunnel.held.get(`Kubernetes//Pod/shop/${name}`);
    if (bytes === undefined) return undefined;
    const { type } = fromBinary(AddressSchema, bytes);
    return type.case === 'workload' ? type.value : undefined;
  };
  return {
    ...cluster,
    istiod,
    ztunnel,
    workload,
    async [Symbol.asyncDispose]() {
      await ztunnel[Symbol.asyncDispose]();
      await istiod[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

/** The value of a metric by its line's beginning. */
async function metric(
  env: { istiod: { get: (port: 'monitoring', path: string) => Promise<{ body: string }> } },
  name: string,
) {
  const { body } = await env.istiod.get('monitoring', '/metrics');
  const line = body.split('\n').find((text) => text.startsWith(name));
  return Number(line?.split(' ').at(-1) ?? 0);
}

function conditionsOf(cluster: FakeCluster, collection: string, name: string) {
  const found = cluster.api.find<GenericObject>(collection, 'shop', name);
  return (found?.status?.['conditions'] ?? []) as { type: string; status: string; reason: string; message: string }[];
}

test('a client learns of pods and services, and then of each change alone', async () => {
  await using env = await setUp();
  ok(env.ztunnel.held.has(WEB));
  equal(env.workload('web-1')?.serviceAccount, 'web');
  deepEqual(Object.keys(env.workload('web-1')?.services ?? {}), [WEB]);
  const before = await metric(env, 'pilot_xds_pushes{type="Address"}');
  env.api.put(PODS, pod('web-2', '10.1.2.3'));
  await until('the new pod', () => env.workload('web-2'));
  env.api.remove(PODS, 'shop', 'web-1');
  await until('its end', () => env.workload('web-1') === undefined);
  ok((await metric(env, 'pilot_xds_pushes{type="Address"}')) - before <= 2);
});

test('a pod that becomes enrolled is told as reachable by tunnel', async () => {
  await using env = await setUp();
  env.api.put(PODS, pod('cart-1', '10.1.2.9', false));
  await until('the pod', () => env.workload('cart-1')?.tunnelProtocol === 0);
  env.api.put(PODS, pod('cart-1', '10.1.2.9'));
  await until('the tunnel', () => env.workload('cart-1')?.tunnelProtocol === 1);
});

test('a policy reaches clients, its object says so, and nothing is written twice', async () => {
  await using env = await setUp();
  env.api.put(POLICIES, policy('deny', { action: 'DENY', rules: [{ from: [{ source: { principals: ['*'] } }] }] }));
  const bytes = await until('the policy', () => env.ztunnel.held.get('shop/deny'));
  equal(fromBinary(AuthorizationSchema, bytes).action, 1);
  const [condition] = await until('the condition', () => {
    const found = conditionsOf(env, POLICIES, 'deny');
    return found.length > 0 ? found : undefined;
  });
  equal(condition?.type, 'ZtunnelAccepted');
  equal(condition?.status, 'True');
  const writes = () =>
    env.api.requests.filter(({ method, path }) => method === 'PATCH' && path.endsWith('/status')).length;
  equal(writes(), 1);
  env.api.put(PODS, pod('web-2', '10.1.2.3'));
  await until('another change', () => env.workload('web-2'));
  equal(writes(), 1);
  env.api.remove(POLICIES, 'shop', 'deny');
  await until('its end', () => !env.ztunnel.held.has('shop/deny'));
});

test('STRICT reaches the workloads of a namespace', async () => {
  await using env = await setUp();
  const spec = { mtls: { mode: 'STRICT' } };
  env.api.put(PEERS, {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'strict', namespace: 'shop' },
    spec,
  } as GenericObject);
  await until('the policy', () => env.ztunnel.held.has('istio-system/istio_converted_static_strict'));
  await until('its name on the workload', () => env.workload('web-1')?.authorizationPolicies.length === 1);
});

test('malformed objects are told to their authors, and hurt nobody else', async () => {
  await using env = await setUp();
  const bad = [
    policy('odd-action', { action: 'FORBID' }),
    policy('odd-shape', { rules: 'all of them' }),
    { ...policy('no-spec', {}), spec: null } as unknown as GenericObject,
    policy('odd-ip', { action: 'DENY', rules: [{ from: [{ source: { ipBlocks: ['10.0.0.300'] } }] }] }),
  ];
  for (const object of bad) env.api.put(POLICIES, object);
  env.api.put(PODS, { metadata: { name: 'empty', namespace: 'shop' } });
  env.api.put(PODS, {
    metadata: { name: 'odd', namespace: 'shop' },
    spec: 5,
    status: { podIPs: 'none' },
  } as unknown as Pod);
  env.api.put(SERVICES, {
    metadata: { name: 'odd', namespace: 'shop' },
    spec: { ports: 'x', selector: [] },
  } as unknown as Service);
  const condition = await until('a condition', () =>
    conditionsOf(env, POLICIES, 'odd-action').find(({ status }) => status === 'False'),
  );
  match(condition.message, /spec.action.*FORBID/);
  ok((await metric(env, 'pilot_total_rejected_configs{type="AuthorizationPolicy",name="shop/odd-action"}')) === 1);
  env.api.put(POLICIES, policy('good', { rules: [{}] }));
  env.api.put(PODS, pod('web-9', '10.1.2.99'));
  await until('what is well', () => env.ztunnel.held.has('shop/good') && env.workload('web-9'));
  equal((await env.istiod.get('http', '/ready')).status, 200);
});

test('an unknown label value becomes an Event that names object, field and fix', async () => {
  await using env = await setUp();
  env.api.put(NAMESPACES, { metadata: { name: 'shop', labels: { 'istio.io/dataplane-mode': 'ambiant' } } });
  const event = await until('the event', () => env.api.all<EventObject>('/api/v1/events')[0]);
  equal(event.involvedObject.kind, 'Namespace');
  equal(event.involvedObject.name, 'shop');
  match(event.message ?? '', /Namespace shop: metadata.labels\[istio.io\/dataplane-mode\].*ambiant.*ambient/);
});

test('a restarted istiod resends nothing, and its client never loses what it holds', async () => {
  const cluster = await fakeCluster();
  await using _ = cluster;
  populate(cluster);
  cluster.api.put(PODS, pod('web-1', '10.1.2.2'));
  cluster.api.put(SERVICES, web);
  const first = await startApp(cluster);
  await until('the root', () => rootIn(cluster, 'istio-system'));
  await using door = await Door.open(first.app.ports.secureGrpc);
  await using ztunnel = connect(cluster, door.port);
  await ztunnel.client.whenSynced();
  const held = ztunnel.held.size;
  const seen: number[] = [];
  await first[Symbol.asyncDispose]();
  await using second = await startApp(cluster);
  door.lead(second.app.ports.secureGrpc);
  await until('the client’s return', async () => {
    seen.push(ztunnel.held.size);
    const { body } = await second.get('http', '/debug/syncz');
    return body.includes('zt-1.istio-system') && !body.includes('"synced": false');
  });
  ok(seen.every((size) => size === held));
  const { body } = await second.get('monitoring', '/metrics');
  match(body, /pilot_xds_config_size_bytes_bucket\{le="10000",type="Address"\} 1/);
  const bytes = /pilot_xds_config_size_bytes_sum\{type="Address"\} (\d+)/.exec(body);
  ok(Number(bytes?.[1]) < 300, `${bytes?.[1]} bytes were sent`);
});

test('a rejected resource shows in metrics, log and syncz', async () => {
  await using env = await setUp();
  await using picky = connect(env, env.istiod.app.ports.secureGrpc, { reject: WEB });
  await until('the metric', async () => (await metric(env, 'pilot_total_xds_rejects{type="Address"}')) === 1);
  ok(env.istiod.lines.some((line) => /a client rejected resources.*node="zt-1.istio-system".*web.shop/.test(line)));
  match((await env.istiod.get('http', '/debug/syncz')).body, new RegExp(`"lastError": "${WEB}: not wanted"`));
  ok(picky.held.has('Kubernetes//Pod/shop/web-1'));
});

test('mesh settings that cannot be read change nothing, and their config map says so', async () => {
  await using env = await setUp();
  const settings = (mesh: string) => ({ metadata: { name: 'istio', namespace: 'istio-system' }, data: { mesh } });
  env.api.put('/api/v1/configmaps', settings('trustDomain: example.org'));
  await until('the domain', () => env.workload('web-1')?.trustDomain === 'example.org');
  env.api.put('/api/v1/configmaps', settings('trustDomain: ['));
  const event = await until('the event', () => env.api.all<EventObject>('/api/v1/events')[0]);
  equal(event.involvedObject.kind, 'ConfigMap');
  match(event.message ?? '', /ConfigMap istio-system\/istio: data.mesh: not readable as YAML/);
  equal(env.workload('web-1')?.trustDomain, 'example.org');
});

test('on demand, an address brings the service behind it with its pods, and later ones as they come', async () => {
  await using env = await setUp();
  env.api.put(PODS, pod('cart-1', '10.1.2.9'));
  await using asking = connect(env, env.istiod.app.ports.secureGrpc, { onDemand: true });
  await asking.client.whenSynced();
  asking.client.want(ADDRESS_TYPE, ['/10.96.0.1']);
  await until('the service', () => asking.held.has(WEB) && asking.held.has('Kubernetes//Pod/shop/web-1'));
  env.api.put(PODS, pod('web-2', '10.1.2.3'));
  await until('its new pod', () => asking.held.has('Kubernetes//Pod/shop/web-2'));
  equal(asking.held.has('Kubernetes//Pod/shop/cart-1'), false);
  env.api.remove(PODS, 'shop', 'web-1');
  await until('the end of the old one', () => !asking.held.has('Kubernetes//Pod/shop/web-1'));
});
